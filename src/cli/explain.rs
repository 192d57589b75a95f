//! `slotwise explain DECISION_ID`.

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::{CommandResult, ReportFormat, Target, report::bar, say, table::fitted, terminal::printable, time};
use crate::{
    bandit::Value,
    client::{DecisionExplanation, ExplainedArm},
    engine::CandidateExplanation,
};

/// Number of candidates that are listed for people.
const CANDIDATES_MAX: usize = 30;
/// Number of features that are listed per candidate for people.
const EFFECTS_MAX: usize = 3;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Id of the decision.
    decision: String,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl Explain {
    pub(super) async fn run(self) -> CommandResult {
        let explanation = self.target.connect().await?.explain_decision(&self.decision).await?;
        match self.output {
            ReportFormat::Table => say(text(&explanation)),
            ReportFormat::Json => say(serde_json::to_string_pretty(&json(&explanation))?),
        }
        Ok(())
    }
}

fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Flag(flag) => json!(flag),
        Value::Texts(texts) => json!(texts),
        Value::Vector(numbers) => json!(numbers),
    }
}

fn effects(moved_by: &[(String, f64)]) -> String {
    let effect = |(feature, amount): &(String, f64)| format!("{} {amount:+.3}", printable(feature));
    moved_by.iter().take(EFFECTS_MAX).map(effect).collect::<Vec<_>>().join(", ")
}

fn text(of: &DecisionExplanation) -> String {
    let who = match of.subject.as_ref().map(|subject| (subject.id.as_str(), subject.session_id.as_str())) {
        None => "a subject whom only keys with the role tune see".to_owned(),
        Some(("", "")) => "an anonymous subject".to_owned(),
        Some((id, "")) => format!("subject '{id}'"),
        Some(("", session)) => format!("session '{session}'"),
        Some((id, session)) => format!("subject '{id}', session '{session}'"),
    };
    let mut lines = vec![
        of.summary.clone(),
        format!("slot {}, revision {}, {}, for {who}", of.slot, of.revision, time::text(of.at_us)),
    ];
    let context: Vec<String> =
        of.context.iter().map(|(name, v)| format!("{} = {}", printable(name), value(v))).collect();
    if !context.is_empty() {
        lines.push(format!("context: {}", context.join(", ")));
    }
    let notes = [
        (of.holdout, "the subject is in the holdout".to_owned()),
        (of.analysis, "the subject is in the analysis slice: nothing was learned of it".to_owned()),
        (!of.sticky.is_empty(), format!("it repeats the decision {}", of.sticky)),
    ];
    lines.extend(notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note));
    let shown = |of: &[ExplainedArm]| -> String {
        let arm = |shown: &ExplainedArm| {
            let reason = shown.reason.replace('_', " ");
            format!(
                "{} ({reason}, drawn with {:.4}, expects {:.4})",
                shown.arm, shown.propensity, shown.expected_reward
            )
        };
        of.iter().map(arm).collect::<Vec<_>>().join(", ")
    };
    lines.push(format!("shown: {}", shown(&of.shown)));
    if !of.shadow.is_empty() {
        lines.push(format!("the policy would have chosen: {}", shown(&of.shadow)));
    }
    if !of.candidates.is_empty() {
        lines.push(fitted(table(of), &[3, 5, 4, 1]));
    }
    lines.push(format!("seed {:#018x}", of.seed));
    lines.join("\n")
}

fn table(of: &DecisionExplanation) -> Table {
    let moved = if of.effects { "moved most by, as of now" } else { "" };
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["arm", "position", "first with", "", "expects", moved]);
    let position = |arm: &str| of.shown.iter().position(|shown| shown.arm == arm);
    let mut order: Vec<&CandidateExplanation> = of.candidates.iter().collect();
    if order.len() > CANDIDATES_MAX {
        order.sort_by(|a, b| b.propensity.total_cmp(&a.propensity));
        order.truncate(CANDIDATES_MAX);
    }
    for CandidateExplanation { arm, ineligible_because, mean, std, propensity, moved_by } in order {
        let (arm, position) = (printable(arm.as_str()).into_owned(), position(arm.as_str()));
        let position = position.map(|position| (position + 1).to_string()).unwrap_or_default();
        table.add_row(match ineligible_because {
            Some(why) => [arm, position, String::new(), String::new(), String::new(), printable(why).into_owned()],
            None => [
                arm,
                position,
                format!("{:.1} %", 100.0 * propensity),
                bar(*propensity),
                format!("{mean:.4} ± {std:.4}"),
                effects(moved_by),
            ],
        });
    }
    for column in [1, 2, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn json(of: &DecisionExplanation) -> serde_json::Value {
    let shown = |of: &[ExplainedArm]| -> Vec<serde_json::Value> {
        let arm = |shown: &ExplainedArm| {
            json!({
                "arm_id": shown.arm,
                "propensity": shown.propensity,
                "expected_reward": shown.expected_reward,
                "reason": shown.reason,
            })
        };
        of.iter().map(arm).collect()
    };
    let candidate = |candidate: &CandidateExplanation| {
        let effect = |(feature, effect): &(String, f64)| json!({"feature": feature, "effect": effect});
        json!({
            "arm_id": candidate.arm.as_str(),
            "eligible": candidate.ineligible_because.is_none(),
            "ineligible_because": candidate.ineligible_because,
            "mean": candidate.mean,
            "std": candidate.std,
            "propensity": candidate.propensity,
            "moved_by": candidate.moved_by.iter().map(effect).collect::<Vec<_>>(),
        })
    };
    let context: serde_json::Map<_, _> = of.context.iter().map(|(name, v)| (name.clone(), value(v))).collect();
    json!({
        "decision_id": of.id,
        "slot_id": of.slot,
        "time": time::text(of.at_us),
        "subject": of.subject.as_ref().map(|subject| json!({"id": subject.id, "session_id": subject.session_id})),
        "context": context,
        "request_id": of.request_id,
        "revision": of.revision,
        "model": of.model,
        "summary": of.summary,
        "arms": shown(&of.shown),
        "shadow_arms": shown(&of.shadow),
        "candidates": of.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "matched_rules": of.rules,
        "holdout": of.holdout,
        "analysis": of.analysis,
        "sticky_decision_id": of.sticky,
        "fallback": of.fallback,
        "seed": format!("{:#018x}", of.seed),
        "effects_as_of_now": of.effects,
    })
}
