//! Streams of `InsightService`: comparisons of policies and exports.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::{
    Api,
    access::CallAccess,
    controls::decode_controls,
    decode::{FieldResult, decode_timestamp},
    error,
    figures::decode_period,
    proto::{self, ComparePoliciesRequest, ComparePoliciesResponse, StreamExportRequest, StreamExportResponse},
    stream::AnswerStream,
};
use crate::{
    engine::{ComparedPolicy, ComparedValue, PolicyComparison, SlotView},
    node::{ComparedSpan, ExportFormat, ExportStyle, Progress, Selection},
    slot::{ArmId, Controls, FieldError, SlotId},
};

/// Greatest number of drafts of one comparison, and of arms that are each compared.
const DRAFTS_MAX: usize = 10;
const ARMS_MAX: usize = 50;
/// Greatest number of bytes of a draft's name.
const NAME_BYTES_MAX: usize = 128;
/// Messages of a stream that wait for the caller.
const WAITING: usize = 4;
/// Bytes of one part of an export.
const PART: usize = 64 * 1024;
/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Decodes the policies of a comparison.
fn decode_policies(request: &ComparePoliciesRequest, view: &SlotView) -> FieldResult<Vec<ComparedPolicy>> {
    let too_many = |field: &str, count: usize, most: usize| {
        let message = format!("has {count} entries; at most {most} are compared at a time");
        if count > most { Err(FieldError::new(field, message)) } else { Ok(()) }
    };
    too_many("drafts", request.drafts.len(), DRAFTS_MAX)?;
    too_many("always_arm_ids", request.always_arm_ids.len(), ARMS_MAX)?;
    let mut policies = Vec::new();
    for (i, draft) in request.drafts.iter().enumerate() {
        let field = format!("drafts[{i}]");
        policies.push(decode_draft(draft, view).map_err(|why| why.within(&field))?);
    }
    for (i, &baseline) in request.baselines.iter().enumerate() {
        match proto::PolicyBaseline::try_from(baseline) {
            Ok(proto::PolicyBaseline::Greedy) => policies.push(ComparedPolicy::Greedy),
            Ok(proto::PolicyBaseline::Uniform) => policies.push(ComparedPolicy::Uniform),
            Ok(proto::PolicyBaseline::EveryArm) => {
                let arms = view.arms_in_effect().iter().filter(|arm| arm.available);
                policies.extend(arms.take(ARMS_MAX).map(|arm| ComparedPolicy::Always(arm.id.clone())));
            }
            Ok(proto::PolicyBaseline::Unspecified) | Err(_) => {
                let message = format!("{baseline} is not a PolicyBaseline");
                return Err(FieldError::new(format!("baselines[{i}]"), message));
            }
        }
    }
    for (i, arm) in request.always_arm_ids.iter().enumerate() {
        policies.push(ComparedPolicy::Always(ArmId::parse(&format!("always_arm_ids[{i}]"), arm)?));
    }
    Ok(policies)
}

fn decode_draft(draft: &proto::PolicyDraft, view: &SlotView) -> FieldResult<ComparedPolicy> {
    let proto::PolicyDraft { name, controls } = draft;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(FieldError::new("name", format!("must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    let controls = decode_controls(controls.clone())?;
    let rest = Controls {
        exploration: None,
        preset: None,
        policy: None,
        floor: None,
        ceiling: None,
        arm_bounds: std::collections::BTreeMap::new(),
        ..controls.clone()
    };
    if rest != Controls::default() {
        let message = "may set exploration, exploration_preset, policy, floor, ceiling and arm_bounds; see \
                       PreviewSlotChange for other changes";
        return Err(FieldError::new("controls", message));
    }
    let mut definition = (*view.definition).clone();
    definition.controls = controls.clone();
    definition.check()?;
    Ok(ComparedPolicy::Draft { name: name.clone(), controls: Box::new(controls) })
}

fn encode_result(comparison: &PolicyComparison) -> proto::ComparisonResult {
    let policy = |of: ComparedValue| {
        let ComparedValue { name, value, effective_decisions, floor_needed } = of;
        proto::PolicyResult {
            name,
            mean: value.map(|value| value.mean),
            low: value.map(|value| value.interval.0),
            high: value.map(|value| value.interval.1),
            difference: value.map(|value| value.difference),
            difference_low: value.map(|value| value.difference_interval.0),
            difference_high: value.map(|value| value.difference_interval.1),
            effective_decisions,
            floor_needed,
        }
    };
    proto::ComparisonResult {
        decisions: comparison.decisions(),
        left_out: comparison.left_out(),
        policies: comparison.results().into_iter().map(policy).collect(),
    }
}

/// Returns whether progress is due to be reported, and if so takes this as the time of the last report.
#[expect(clippy::disallowed_methods, reason = "the time paces reports of progress and is never recorded")]
fn is_due(reported: &mut Option<Instant>) -> bool {
    let is_due = reported.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
    if is_due {
        *reported = Some(Instant::now());
    }
    is_due
}

impl Api {
    pub(super) fn stream_comparison(
        &self,
        access: &CallAccess,
        request: &ComparePoliciesRequest,
    ) -> Result<Response<AnswerStream<ComparePoliciesResponse>>, Status> {
        let view = self.view_of(access, &request.slot_id)?;
        let node = Arc::clone(self.node()?);
        let now_us = node.now_us();
        let policies = decode_policies(request, &view).map_err(|why| error::field(&why))?;
        let (from_us, until_us) = decode_period(request.period, &view, now_us).map_err(|why| error::field(&why))?;
        let slot = view.definition.id.clone();
        let span = ComparedSpan { slot, from_us, until_us, settled_us: now_us - view.patience_us };
        let (answers, stream) = mpsc::channel(WAITING);
        let draining = self.draining();
        self.tasks().spawn_blocking(move || {
            let mut reported = None;
            let mut go_on = |Progress { done, of, .. }: Progress| {
                if is_due(&mut reported) {
                    let step = proto::ComparisonProgress { done, total: of };
                    let step = proto::compare_policies_response::Step::Progress(step);
                    // A caller who is slow to read misses a report.
                    let _ = answers.try_send(Ok(ComparePoliciesResponse { step: Some(step) }));
                }
                !answers.is_closed() && !draining.is_cancelled()
            };
            let done = node.compare_policies(&span, policies, &mut go_on);
            let last = done.map_err(error::reading).map(|comparison| {
                let result = proto::compare_policies_response::Step::Result(encode_result(&comparison));
                ComparePoliciesResponse { step: Some(result) }
            });
            // The caller may be gone.
            let _ = answers.blocking_send(last);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    pub(super) fn stream_table(
        &self,
        access: &CallAccess,
        request: StreamExportRequest,
    ) -> Result<Response<AnswerStream<StreamExportResponse>>, Status> {
        let StreamExportRequest { slot_id, from, until, format, pseudonyms } = request;
        let pseudonyms = pseudonyms || !access.exports_subjects();
        let node = Arc::clone(self.node()?);
        let slot = if slot_id.is_empty() {
            access.check_all_slots()?;
            None
        } else {
            Some(self.view_of(access, &slot_id)?.definition.id.clone())
        };
        let (selection, style) = decode_export(slot, from, until, format).map_err(|why| error::field(&why))?;
        let (answers, stream) = mpsc::channel(WAITING);
        let draining = self.draining();
        self.tasks().spawn_blocking(move || {
            let parts = PartWriter { answers: answers.clone(), stopping: draining };
            let to = io::BufWriter::with_capacity(PART, parts);
            if let Err(why) = node.export(&selection, pseudonyms, style, to) {
                // The caller may be gone.
                let _ = answers.blocking_send(Err(error::reading(why)));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

fn decode_export(
    slot: Option<SlotId>,
    from: Option<prost_types::Timestamp>,
    until: Option<prost_types::Timestamp>,
    format: i32,
) -> FieldResult<(Selection, ExportStyle)> {
    let from_us = from.map(|from| decode_timestamp("from", from)).transpose()?.unwrap_or(i64::MIN);
    let until_us = until.map(|until| decode_timestamp("until", until)).transpose()?.unwrap_or(i64::MAX);
    let format = match proto::TableFormat::try_from(format) {
        Ok(proto::TableFormat::Unspecified | proto::TableFormat::Jsonl) => ExportFormat::Jsonl,
        Ok(proto::TableFormat::Csv) => ExportFormat::Csv,
        #[cfg(feature = "parquet")]
        Ok(proto::TableFormat::Parquet) => ExportFormat::Parquet,
        #[cfg(not(feature = "parquet"))]
        Ok(proto::TableFormat::Parquet) => {
            let message =
                "is TABLE_FORMAT_PARQUET, and this program was built without the feature parquet; take JSONL or CSV";
            return Err(FieldError::new("format", message));
        }
        Err(_) => return Err(FieldError::new("format", format!("{format} is not a TableFormat"))),
    };
    Ok((Selection { slot, from_us, until_us }, ExportStyle { format, spreadsheet_safe: false }))
}

/// Writer whose parts are the answers of a stream. It waits while the caller does not read.
struct PartWriter {
    answers: mpsc::Sender<Result<StreamExportResponse, Status>>,
    stopping: tokio_util::sync::CancellationToken,
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        if self.stopping.is_cancelled() {
            return Err(gone());
        }
        let part = &bytes[..bytes.len().min(PART)];
        self.answers.blocking_send(Ok(StreamExportResponse { content: part.to_vec() })).map_err(|_| gone())?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
