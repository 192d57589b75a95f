//! A run as JUnit XML: a suite with a test case for each check.
//!
//! A failed check is a failure. An inconclusive or unmeasurable check is skipped, with the reason, so that a suite is
//! red only if something is known to be wrong. (The exit code of `run` distinguishes inconclusive runs.)
//!
//! Deliberately not here: durations. Readers that insist on `time` get 0, so that equal reports give equal bytes.

use std::fmt::Write as _;

use crate::report::{CheckOutcome, CheckReport, RunReport};

use super::{markup::Markup, number::p_value, phrase};

/// The run as a JUnit document, ending in a line feed.
pub fn render(report: &RunReport) -> String {
    let of = |wanted: &[CheckOutcome]| report.checks.iter().filter(|check| wanted.contains(&check.outcome)).count();
    let tests = report.checks.len().to_string();
    let failures = of(&[CheckOutcome::Fail]).to_string();
    let skipped = of(&[CheckOutcome::Inconclusive, CheckOutcome::Skipped]).to_string();
    let counts = [("tests", &*tests), ("failures", &*failures), ("errors", "0"), ("skipped", &*skipped), ("time", "0")];
    let named = |name| [&[("name", name)], &counts[..]].concat();

    let mut out = Markup::beginning("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.element("testsuites", &named("slotwise-simulator"), |out| {
        out.trusted("\n  ").element("testsuite", &named(&report.scenario.name), |out| {
            out.trusted("\n    ").element("properties", &[], |out| {
                for (name, value) in properties(report) {
                    out.trusted("\n      ").empty("property", &[("name", name), ("value", &value)]);
                }
                out.trusted("\n    ");
            });
            for check in &report.checks {
                out.trusted("\n    ");
                case(out, report, check);
            }
            out.trusted("\n  ");
        });
        out.trusted("\n");
    });
    out.trusted("\n");
    out.finish()
}

fn properties(report: &RunReport) -> Vec<(&'static str, String)> {
    let scenario = &report.scenario;
    let mut properties = vec![
        ("title", scenario.title.clone()),
        ("seed", report.seed.to_string()),
        ("horizon", report.horizon.to_string()),
        ("replications", report.replications.to_string()),
        ("small", scenario.small.to_string()),
        ("verdict", phrase::verdict(report.verdict).to_owned()),
    ];
    properties.extend(scenario.set.iter().map(|set| ("set", set.clone())));
    properties
}

fn case(out: &mut Markup, report: &RunReport, check: &CheckReport) {
    let class = format!("{}.{}", report.scenario.name, check.policy);
    out.element("testcase", &[("classname", &class), ("name", &check.name), ("time", "0")], |out| {
        match check.outcome {
            CheckOutcome::Pass => {
                out.trusted("\n      ").leaf("system-out", &[], numbers(check));
            }
            CheckOutcome::Fail => {
                let attributes = [("message", &*check.sentence), ("type", &*check.metric)];
                out.trusted("\n      ").leaf("failure", &attributes, numbers(check));
            }
            CheckOutcome::Inconclusive => {
                let message = format!("inconclusive: {}", check.sentence);
                out.trusted("\n      ").leaf("skipped", &[("message", &message)], numbers(check));
            }
            CheckOutcome::Skipped => {
                out.trusted("\n      ").empty("skipped", &[("message", &check.sentence)]);
            }
        }
        out.trusted("\n    ");
    });
}

/// The measured value and the bounds, as text of the test case.
fn numbers(check: &CheckReport) -> String {
    let mut text = check.sentence.clone();
    let _ = write!(text, "\nmeasured: {}\nasked: {}", phrase::measured(check), phrase::bounds(check));
    let _ = write!(text, "\nconfidence: {}", check.confidence);
    if let (Some(p), Some(adjusted)) = (check.p_value, check.p_adjusted) {
        let _ = write!(text, "\np: {}, after Holm's correction {}", p_value(p), p_value(adjusted));
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use roxmltree::Document;

    use super::{super::sample, *};

    #[test]
    fn a_case_per_check_and_only_what_is_known_to_fail_is_a_failure() {
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="slotwise-simulator" tests="4" failures="1" errors="0" skipped="2" time="0">
              <testsuite name="offer" tests="4" failures="1" errors="0" skipped="2" time="0">
                <properties>
                  <property name="title" value="An offer, to shoppers some of whom would buy anyway"/>
                  <property name="seed" value="20261121"/>
                  <property name="horizon" value="2000"/>
                  <property name="replications" value="20"/>
                  <property name="small" value="false"/>
                  <property name="verdict" value="fails"/>
                  <property name="set" value="traffic.per_day=5000"/>
                </properties>
                <testcase classname="offer.default" name="lift, default over uniform" time="0">
                  <system-out>lift, default over uniform is 11.8 % [10.4 %, 13.2 %]: at least 3 % holds
            measured: 11.8 % (10.4 % to 13.2 %)
            asked: ≥ 3 %
            confidence: 0.95
            p: &lt; 0.0001, after Holm&#39;s correction &lt; 0.0001</system-out>
                </testcase>
                <testcase classname="offer.default" name="no discount for loyal customers" time="0">
                  <failure message="no discount for loyal customers is 8.3 % [7.1 %, 9.5 %]: at most 5 % fails" type="share">no discount for loyal customers is 8.3 % [7.1 %, 9.5 %]: at most 5 % fails
            measured: 8.3 % (7.1 % to 9.5 %)
            asked: ≤ 5 %
            confidence: 0.95
            p: 1.00, after Holm&#39;s correction 1.00</failure>
                </testcase>
                <testcase classname="offer.default" name="regret in the last tenth, default" time="0">
                  <skipped message="inconclusive: regret in the last tenth, default is 0.02780 [0.02410, 0.03150]: at most 0.03000 is undecided; about 64 replications would decide it">regret in the last tenth, default is 0.02780 [0.02410, 0.03150]: at most 0.03000 is undecided; about 64 replications would decide it
            measured: 0.0278 (0.0241 to 0.0315)
            asked: ≤ 0.03
            confidence: 0.95
            p: 0.12, after Holm&#39;s correction 0.24</skipped>
                </testcase>
                <testcase classname="offer.default" name="99th percentile of latency, default" time="0">
                  <skipped message="99th percentile of latency, default: only a live server has one; run with --target"/>
                </testcase>
              </testsuite>
            </testsuites>
        "#]].assert_eq(&render(&sample::short()));
    }

    #[test]
    fn the_counts_are_those_of_the_cases() {
        let mut report = sample::short();
        for outcome in [CheckOutcome::Fail, CheckOutcome::Fail, CheckOutcome::Inconclusive] {
            report.checks.push(CheckReport { outcome, ..sample::check() });
        }
        let text = render(&report);
        let document = Document::parse(&text).unwrap();
        let tags = |tag: &str| document.descendants().filter(|node| node.has_tag_name(tag)).count().to_string();
        for suite in ["testsuites", "testsuite"] {
            let suite = document.descendants().find(|node| node.has_tag_name(suite)).unwrap();
            assert_eq!(suite.attribute("tests"), Some(&*tags("testcase")));
            assert_eq!(suite.attribute("failures"), Some(&*tags("failure")));
            assert_eq!(suite.attribute("skipped"), Some(&*tags("skipped")));
        }
        assert_eq!((tags("failure"), tags("skipped")), ("3".to_owned(), "3".to_owned()));
    }

    #[test]
    fn what_a_scenario_is_called_cannot_break_the_document() {
        let mut report = sample::short();
        let nasty = "<failure message=\"x\"/> & ]]> \u{1b}[31m";
        report.scenario.name = nasty.to_owned();
        for check in &mut report.checks {
            check.name = nasty.to_owned();
            check.sentence = nasty.to_owned();
        }
        let text = render(&report);
        let document = Document::parse(&text).unwrap();
        let case = document.descendants().find(|node| node.has_tag_name("testcase")).unwrap();
        assert_eq!(case.attribute("name"), Some("<failure message=\"x\"/> & ]]> \u{fffd}[31m"));
        let failures = document.descendants().filter(|node| node.has_tag_name("failure")).count();
        assert_eq!(failures, report.checks.iter().filter(|check| check.outcome == CheckOutcome::Fail).count());
    }

    #[test]
    fn a_scenario_without_checks_is_an_empty_suite() {
        let mut report = sample::short();
        report.checks.clear();
        let text = render(&report);
        let document = Document::parse(&text).unwrap();
        assert_eq!(document.root_element().attribute("tests"), Some("0"));
    }
}
