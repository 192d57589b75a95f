//! Figures over time, by segment and of policies, alerts and exports, as a client reads them.

use prost_types::Duration;
use slotwise::wire::proto::{
    ComparePoliciesRequest, FeatureValue, GetSegmentsRequest, GetTimeSeriesRequest, KindRole, ListAlertsRequest,
    ListFeaturesRequest, Period, PolicyBaseline, PolicyDraft, SplitBy, StreamExportRequest, TableFormat, TimePoint,
    TimeStep, ValueType, compare_policies_response::Step, feature_value::Value,
};

use super::*;

const DECISIONS: u32 = 400;

/// Plays shoppers of two segments; every fourth one clicks.
async fn played(clients: &mut support::Clients) -> Vec<String> {
    let mut offers = slot("offers", &["a", "b"]);
    offers.controls = Some(Controls { holdout: Some(0.0), floor: Some(0.2), ..Controls::default() });
    clients.create(offers).await.unwrap();
    let mut ids = Vec::new();
    for i in 0..DECISIONS {
        let word = |word: &str| FeatureValue { value: Some(Value::Text(word.into())) };
        let context = [("segment".to_owned(), word(["new", "loyal"][i as usize % 2]))].into();
        let decision = clients.decide(DecideRequest { context, ..decide("offers") }).await.unwrap();
        if i % 4 == 0 {
            clients.reward(click(&format!("e{i}"), &decision)).await.unwrap();
        }
        ids.push(decision.decision_id);
    }
    // A decision is answered before it is applied.
    for _ in 0..500 {
        let request = GetSlotReportRequest { slot_id: "offers".into(), ..Default::default() };
        let report = clients.insight.get_slot_report(request).await.unwrap().into_inner().report.unwrap();
        if report.decisions == u64::from(DECISIONS) {
            return ids;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("some decisions were never applied")
}

async fn series(clients: &mut support::Clients, step: TimeStep, by: SplitBy, feature: &str) -> Vec<TimePoint> {
    let request = GetTimeSeriesRequest {
        slot_id: "offers".into(),
        step: step.into(),
        by: by.into(),
        feature: feature.into(),
        ..GetTimeSeriesRequest::default()
    };
    clients.insight.get_time_series(request).await.unwrap().into_inner().points
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_over_time_and_by_segment_are_those_of_the_traffic() {
    let (_folder, server, mut clients) = started().await;
    played(&mut clients).await;
    let decisions = u64::from(DECISIONS);
    for step in [TimeStep::FiveMinutes, TimeStep::Hour, TimeStep::Day] {
        let points = series(&mut clients, step, SplitBy::Unspecified, "").await;
        let sum = |of: fn(&TimePoint) -> u64| points.iter().map(of).sum::<u64>();
        assert_eq!((sum(|point| point.decisions), sum(|point| point.showings)), (decisions, decisions), "{step:?}");
        assert_eq!(points.iter().map(|point| point.events).sum::<i64>(), i64::from(DECISIONS) / 4);
        assert!((points.iter().map(|point| point.reward).sum::<f64>() - f64::from(DECISIONS) / 4.0).abs() < 1e-9);
    }
    let by_arm = series(&mut clients, TimeStep::Day, SplitBy::Arm, "").await;
    assert_eq!(by_arm.iter().map(|point| point.showings).sum::<u64>(), decisions);
    let by_kind = series(&mut clients, TimeStep::Day, SplitBy::Kind, "").await;
    assert!(by_kind.iter().all(|point| point.key == "click"), "{by_kind:?}");
    let by_feature = series(&mut clients, TimeStep::Day, SplitBy::Feature, "segment").await;
    let of = |key: &str| by_feature.iter().filter(|point| point.key == key).map(|point| point.decisions).sum::<u64>();
    assert_eq!((of("new"), of("loyal")), (decisions / 2, decisions / 2));

    let request = GetSegmentsRequest { slot_id: "offers".into(), feature: "segment".into() };
    let segments = clients.insight.get_segments(request).await.unwrap().into_inner().segments;
    assert_eq!(segments[0].values.iter().map(|value| value.decisions).collect::<Vec<_>>(), [decisions / 2; 2]);
    let earned: Vec<f64> = segments[0].values.iter().map(|value| value.reward_per_decision.unwrap()).collect();
    assert!((earned[0] - 0.5).abs() < 1e-9 && earned[1].abs() < 1e-9, "only new shoppers click: {earned:?}");

    let features = ListFeaturesRequest { slot_id: "offers".into() };
    let features = clients.insight.list_features(features).await.unwrap().into_inner();
    assert_eq!((features.decisions, features.features.len()), (decisions, 1));
    assert_eq!((features.features[0].r#type(), features.features[0].followed_values), (ValueType::Word, 2));
    let alerts = clients.insight.list_alerts(ListAlertsRequest::default()).await.unwrap().into_inner().alerts;
    assert_eq!(alerts, []);

    let last = Period { last: Some(Duration { seconds: 3_600, nanos: 0 }), ..Period::default() };
    let request = GetSlotReportRequest { slot_id: "offers".into(), period: Some(last), ..Default::default() };
    let report = clients.insight.get_slot_report(request).await.unwrap().into_inner().report.unwrap();
    let period = report.period.unwrap();
    assert_eq!((period.decisions, period.click_through_rate, period.conversion_rate), (decisions, Some(0.25), None));
    assert_eq!((period.kinds[0].role(), period.kinds[0].events), (KindRole::Click, i64::from(DECISIONS) / 4));
    assert_eq!(report.previous_period.unwrap().decisions, 0);
    assert!(report.arms.iter().all(|arm| arm.where_shown.is_some()) && report.rates);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_is_refused_with_the_field() {
    let (_folder, server, mut clients) = started().await;
    played(&mut clients).await;
    let of = |edit: fn(&mut GetTimeSeriesRequest)| {
        let mut request = GetTimeSeriesRequest { slot_id: "offers".into(), ..GetTimeSeriesRequest::default() };
        edit(&mut request);
        request
    };
    let early = prost_types::Timestamp { seconds: 10, nanos: 0 };
    for (request, named) in [
        (of(|request| request.step = 17), "step: 17"),
        (of(|request| request.by = 17), "by: 17"),
        (
            of(|request| (request.by, request.feature) = (SplitBy::Feature.into(), "segmen".into())),
            "did you mean 'segment'",
        ),
        (GetTimeSeriesRequest { until: Some(early), ..of(|_| {}) }, "until: must be after from"),
    ] {
        let refused = clients.insight.get_time_series(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(named), "{named}: {}", refused.message());
    }
    let period = Period { since_revision: 9, ..Period::default() };
    let request = GetSlotReportRequest { slot_id: "offers".into(), period: Some(period), ..Default::default() };
    let refused = clients.insight.get_slot_report(request).await.unwrap_err();
    assert!(refused.message().starts_with("period.since_revision"), "{}", refused.message());
    let unknown = clients.insight.list_alerts(ListAlertsRequest { slot_id: "offer".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let draft = |controls| PolicyDraft { name: "draft".into(), controls: Some(controls) };
    for (controls, named) in [
        (Controls { holdout: Some(0.2), ..Controls::default() }, "drafts[0].controls"),
        (Controls { floor: Some(0.9), ..Controls::default() }, "drafts[0].controls.floor"),
    ] {
        let request =
            ComparePoliciesRequest { slot_id: "offers".into(), drafts: vec![draft(controls)], ..Default::default() };
        let refused = clients.insight.compare_policies(request).await.map(|_| ()).unwrap_err();
        assert!(refused.message().starts_with(named), "{named}: {}", refused.message());
    }
    server.stop().await;
}

/// A comparison runs over the slot's own journal while the service decides, and an export is the table of the command line.
#[tokio::test(flavor = "multi_thread")]
async fn policies_are_compared_and_decisions_are_exported_from_the_journal() {
    let (_folder, server, mut clients) = started().await;
    let ids = played(&mut clients).await;
    let controls = Controls { floor: Some(0.2), ..Controls::default() };
    let request = ComparePoliciesRequest {
        slot_id: "offers".into(),
        drafts: vec![PolicyDraft { name: "as it is".into(), controls: Some(controls) }],
        baselines: vec![PolicyBaseline::Greedy.into(), PolicyBaseline::Uniform.into(), PolicyBaseline::EveryArm.into()],
        ..ComparePoliciesRequest::default()
    };
    let mut steps = clients.insight.compare_policies(request).await.unwrap().into_inner();
    let mut last = None;
    while let Some(step) = steps.message().await.unwrap() {
        last = step.step;
    }
    let Some(Step::Result(result)) = last else { panic!("the stream ends with the result: {last:?}") };
    // The window is a day, so only silence that lasted long enough and what is complete count: none of it yet, unless the slot
    // has learned how fast clicks come.
    assert_eq!(result.decisions + result.left_out, u64::from(DECISIONS));
    let names: Vec<&str> = result.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["present", "as it is", "greedy", "uniform", "always a", "always b"]);

    let request = StreamExportRequest { slot_id: "offers".into(), ..StreamExportRequest::default() };
    let mut parts = clients.insight.stream_export(request.clone()).await.unwrap().into_inner();
    let mut table = Vec::new();
    while let Some(part) = parts.message().await.unwrap() {
        table.extend(part.content);
    }
    let rows: Vec<serde_json::Value> =
        String::from_utf8(table).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut exported: Vec<&str> = rows.iter().map(|row| row["decision_id"].as_str().unwrap()).collect();
    let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    exported.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(exported, wanted);
    for row in &rows {
        let scored = row["scored"].as_array().unwrap();
        let sum: f64 = scored.iter().map(|of| of["propensity"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5 && scored.iter().all(|of| of["arm"].is_string()), "{row}");
    }
    let csv = StreamExportRequest { format: TableFormat::Csv.into(), ..request };
    let mut parts = clients.insight.stream_export(csv).await.unwrap().into_inner();
    let first = parts.message().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first.content).starts_with("decision_id,slot,time"));
    server.stop().await;
}
