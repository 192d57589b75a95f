//! Comparison of the evaluation with the `cel` crate's own interpreter, and of a renewed book with a new one.

use std::{collections::HashMap, sync::Arc};

use cel::{Context, Program, Value as Cel, objects::Key};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{arm, features, rule, text, words};
use crate::{
    bandit::{Features, Value},
    slot::{
        Arm,
        rule::{RequestFacts, Rule, RuleBook, RuleTarget, Verdict},
    },
};

/// Random conditions; whole literals stand only where CEL takes them beside doubles.
struct ConditionWriter {
    rng: StdRng,
}

impl ConditionWriter {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.random_range(0..from.len())]
    }

    fn condition(&mut self, depth: usize, bound: bool) -> String {
        let next = depth.saturating_sub(1);
        if depth == 0 {
            return self
                .pick(&[
                    "context.flag",
                    "arm.flag",
                    "has(context.word)",
                    "has(arm.number)",
                    "true",
                    "'tag' in arm",
                    "has(subject.session_id)",
                ])
                .into();
        }
        match self.rng.random_range(0..14) {
            0..3 => format!("({} && {})", self.condition(next, bound), self.condition(next, bound)),
            3 => format!("({} || {})", self.condition(next, bound), self.condition(next, bound)),
            4 => format!("!{}", self.condition(next, bound)),
            5 | 6 => {
                let operator = self.pick(&["==", "!=", "<", "<=", ">", ">="]);
                format!("({} {operator} {})", self.number(next, bound), self.number(next, bound))
            }
            7 => {
                let operator = self.pick(&["==", "!=", "<", ">="]);
                format!("({} {operator} {})", self.word(next, bound), self.word(next, bound))
            }
            8 => {
                let test = self.pick(&["startsWith", "endsWith", "contains"]);
                format!("{}.{test}({})", self.word(next, bound), self.word(next, bound))
            }
            9 => format!("({} in {})", self.word(next, bound), self.list()),
            10 => format!("({} in [1, 2, {}])", self.number(next, bound), self.number(0, bound)),
            11 if !bound => {
                let each = self.pick(&["all", "exists", "exists_one"]);
                format!("{}.{each}(x, {})", self.list(), self.condition(next.min(2), true))
            }
            12 if !bound => format!("(size({}.filter(x, {})) > 1)", self.list(), self.condition(next.min(1), true)),
            13 => format!(
                "({} ? {} : {})",
                self.condition(next, bound),
                self.condition(next, bound),
                self.condition(next, bound)
            ),
            _ => format!("({} == {})", self.list(), self.list()),
        }
    }

    fn number(&mut self, depth: usize, bound: bool) -> String {
        if depth == 0 || self.rng.random_bool(0.6) {
            return self
                .pick(&["context.number", "arm.number", "arm.id", "1", "0.5", "2", "context.gone", "context.word"])
                .into();
        }
        match self.rng.random_range(0..3) {
            0 => {
                let operator = self.pick(&["+", "-", "*", "/"]);
                let literal = self.pick(&["1.0", "0.0", "2.5"]);
                format!("({} {operator} {literal})", self.pick(&["context.number", "arm.number", "arm.word"]))
            }
            1 => format!("-{}", self.pick(&["context.number", "arm.number"])),
            _ => format!("size({})", self.word(depth - 1, bound)),
        }
    }

    fn word(&mut self, depth: usize, bound: bool) -> String {
        if bound && self.rng.random_bool(0.5) {
            return "x".into();
        }
        if depth == 0 || self.rng.random_bool(0.7) {
            return self
                .pick(&[
                    "context.word",
                    "arm.word",
                    "arm.id",
                    "subject.id",
                    "subject.session_id",
                    "'b'",
                    "'öb'",
                    "''",
                    "context.gone",
                    "context['wo' + 'rd']",
                    "arm.number",
                ])
                .into();
        }
        format!("({} + {})", self.word(depth - 1, bound), self.word(depth - 1, bound))
    }

    fn list(&mut self) -> String {
        self.pick(&[
            "context.words",
            "arm.words",
            "arm.vector",
            "['b', 'öb']",
            "[context.word, arm.word]",
            "(arm.words + ['b'])",
            "arm.gone",
        ])
        .into()
    }

    /// Some of the names, with values that are alike often enough.
    fn features(&mut self) -> Features {
        let mut all = Features::new();
        for name in ["flag", "number", "word", "words", "vector", "tag"] {
            if self.rng.random_bool(0.2) {
                continue;
            }
            let value = match name {
                "flag" => Value::Flag(self.rng.random_bool(0.5)),
                "number" => Value::Number([0.0, 0.5, 1.0, 2.0, -1.5][self.rng.random_range(0..5)]),
                "words" => words([&[][..], &["b"], &["b", "öb"], &["a", "b", "b"]][self.rng.random_range(0..4)]),
                "vector" => Value::Vector([vec![], vec![1.0], vec![2.0, 0.5]][self.rng.random_range(0..3)].clone()),
                _ => text(self.pick(&["b", "öb", "a", ""])),
            };
            // Now and then of another type than the condition expects.
            let value = if self.rng.random_bool(0.05) { Value::Flag(true) } else { value };
            all.insert(name.to_owned(), value);
        }
        all
    }
}

fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Number(number) => Cel::Float(*number),
        Value::Text(text) => Cel::String(Arc::new(text.clone())),
        Value::Flag(flag) => Cel::Bool(*flag),
        Value::Texts(words) => {
            Cel::List(words.iter().map(|word| Cel::String(Arc::new(word.clone()))).collect::<Vec<_>>().into())
        }
        Value::Vector(numbers) => {
            Cel::List(numbers.iter().map(|&number| Cel::Float(f64::from(number))).collect::<Vec<_>>().into())
        }
    }
}

fn map(pairs: impl Iterator<Item = (String, Cel)>) -> Cel {
    let map: HashMap<Key, Cel> = pairs.map(|(name, value)| (Key::String(Arc::new(name)), value)).collect();
    Cel::Map(map.into())
}

/// Returns the verdict of the crate's interpreter on the whole condition.
fn reference(program: &Program, facts: &RequestFacts<'_>, id: &str, layers: &[&Features]) -> Verdict {
    let string = |text: &str| Cel::String(Arc::new(text.to_owned()));
    let mut context = Context::default();
    let of =
        |features: &Features| features.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect::<Vec<_>>();
    let subject = [("id", facts.subject_id), ("session_id", facts.session_id)];
    let subject = subject.into_iter().filter(|(_, id)| !id.is_empty()).map(|(name, id)| (name.to_owned(), string(id)));
    // Later pairs replace earlier ones.
    let arm = layers.iter().flat_map(|layer| of(layer)).chain([("id".to_owned(), string(id))]);
    context.add_variable_from_value("context", map(of(facts.context).into_iter()));
    context.add_variable_from_value("subject", map(subject));
    context.add_variable_from_value("arm", map(arm));
    match program.execute(&context) {
        Ok(Cel::Bool(true)) => Verdict::Yes,
        Ok(Cel::Bool(false)) => Verdict::No,
        Ok(_) | Err(_) => Verdict::Failed,
    }
}

fn conditions(writer: &mut ConditionWriter, count: usize) -> Vec<Rule> {
    let mut rules = Vec::new();
    while rules.len() < count {
        let parts: Vec<_> = (0..writer.rng.random_range(1..4)).map(|_| writer.condition(3, false)).collect();
        let rule = rule(&parts.join(" && "));
        // Our types refuse some that never hold.
        if rule.check().is_ok() {
            rules.push(rule);
        }
    }
    rules
}

#[test]
fn every_way_to_evaluate_agrees_with_the_crate_s_interpreter() {
    let mut writer = ConditionWriter { rng: StdRng::seed_from_u64(7) };
    let mut seen = [0; 3];
    for _ in 0..40 {
        let rules = conditions(&mut writer, 25);
        let arms: Vec<_> = ["b", "öb", "a1", "a2", "a3"]
            .iter()
            .filter(|id| id.is_ascii())
            .map(|id| arm(id, writer.features()))
            .collect();
        let programs: Vec<_> = rules.iter().map(|rule| Program::compile(&rule.when).unwrap()).collect();
        let book = RuleBook::new(&rules, &arms);
        for _ in 0..5 {
            let context = writer.features();
            let session_id = writer.pick(&["", "b"]);
            let facts = RequestFacts { context: &context, subject_id: "s", session_id };
            let own: Vec<_> = arms.iter().map(|_| writer.features()).collect();
            let mut targets = Vec::new();
            let mut layers: Vec<Vec<&Features>> = Vec::new();
            for (i, (arm, own)) in arms.iter().zip(&own).enumerate() {
                targets.push(RuleTarget { arm: &arm.id, position: Some(i), own: None });
                layers.push(vec![&arm.attributes]);
                targets.push(RuleTarget { arm: &arm.id, position: Some(i), own: Some(own) });
                layers.push(vec![&arm.attributes, own]);
                targets.push(RuleTarget { arm: &arm.id, position: None, own: Some(own) });
                layers.push(vec![own]);
            }
            let verdicts = book.judge(&facts, &targets);
            for (r, rule) in rules.iter().enumerate() {
                for (t, target) in targets.iter().enumerate() {
                    let want = reference(&programs[r], &facts, target.arm.as_str(), &layers[t]);
                    let got = verdicts.verdict(r, t);
                    assert_eq!(got, want, "{}\n{facts:?}\n{target:?}\n{:?}", rule.when, layers[t]);
                    seen[got as usize] += 1;
                }
            }
        }
    }
    // All three verdicts came up, each in at least a twentieth of the cases.
    let all: i32 = seen.iter().sum();
    assert!(seen.iter().all(|&count| count * 20 > all), "{seen:?}");
}

#[test]
fn a_renewed_book_equals_a_new_one() {
    let mut writer = ConditionWriter { rng: StdRng::seed_from_u64(8) };
    let mut rules = conditions(&mut writer, 12);
    let mut arms: Vec<Arc<Arm>> = (0..30).map(|i| arm(&format!("a{i}"), writer.features())).collect();
    let mut book = RuleBook::new(&rules, &arms);
    for round in 30..90 {
        match writer.rng.random_range(0..7) {
            0 => arms.push(arm(&format!("a{round}"), writer.features())),
            1 if arms.len() > 5 => drop(arms.remove(writer.rng.random_range(0..arms.len()))),
            2 => {
                let at = writer.rng.random_range(0..arms.len());
                let id = arms[at].id.as_str().to_owned();
                arms[at] = arm(&id, writer.features());
            }
            3 => arms.reverse(),
            4 => rules.rotate_left(3),
            5 => rules[0] = conditions(&mut writer, 1).remove(0),
            _ => rules[1].paused = !rules[1].paused,
        }
        book = book.renewed(&rules, &arms);
        let fresh = RuleBook::new(&rules, &arms);
        let context = writer.features();
        let facts = RequestFacts { context: &context, subject_id: "s", session_id: "" };
        let targets: Vec<_> =
            arms.iter().enumerate().map(|(i, arm)| RuleTarget { arm: &arm.id, position: Some(i), own: None }).collect();
        assert_eq!(book.judge(&facts, &targets), fresh.judge(&facts, &targets), "round {round}");
        assert_eq!(format!("{book:?}"), format!("{fresh:?}"), "round {round}");
    }
}

#[test]
fn unchanged_rules_and_arms_are_reused() {
    let arms: Vec<_> =
        (0..4).map(|i| arm(&format!("a{i}"), features([("price", Value::Number(f64::from(i)))]))).collect();
    let rules = [rule("arm.price > 1"), rule("context.flag && arm.price > 2")];
    let book = RuleBook::new(&rules, &arms);
    let same = book.renewed(&rules, &arms);
    assert!(book.shares_all_with(&same));
    let mut changed = arms.clone();
    changed[2] = arm("a2", Features::new());
    assert!(!book.shares_all_with(&book.renewed(&rules, &changed)));
    assert!(book.renewed(&rules, &changed).shares_programs_with(&book));
    assert!(RuleBook::new(&[], &arms).is_empty());
}
