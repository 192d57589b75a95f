//! Number of decisions that a core simulates per second. Each includes the shopper, the true rewards, the decision, its
//! application, and the reward events. `cargo bench -p slotwise-simulator --bench simulate`.
#![allow(missing_docs, reason = "criterion's macros make public items without any")]
#![allow(clippy::unwrap_used, reason = "a bench stops at the first thing that is wrong")]

use std::{fmt::Write as _, fs};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slotwise_simulator::{
    environment::{Environment, Truth},
    run::episode::{NoRunProgress, Setup, replicate},
    scenario::{Changes, Loaded, load},
};

/// The program's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DECISIONS: u64 = 10_000;

/// The offer scenario with ten arms and one policy.
fn offer(slot: &str, shoppers: &str) -> Loaded {
    let mut arms = String::new();
    for i in 0..10 {
        write!(arms, "{{ arm_id = \"a{i}\", margin = 1.0, appeal = {} }},", f64::from(i) * -0.1).unwrap();
    }
    let text = format!(
        "extends = \"offer\"\nhorizon = {DECISIONS}\nreplications = 2\naudit_every = 0\ncheck = []\n\
         policies = [{{ name = \"default\" }}]\n\
         [small]\n{shoppers}\n\
         [catalogue]\narms = [{arms}]\n\
         [slot]\n{slot}\n\
         [slot.goal]\nkinds = [{{ kind = \"purchase\", weight = 1.0, cap = 1.0 }}]\n\
         [behaviour]\nsteps = [{{ kind = \"purchase\", log_odds = -1.5, delay = {{ exponential = \"5min\" }} }}]\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.toml");
    fs::write(&file, text).unwrap();
    load(file.to_str().unwrap(), &Changes::default()).unwrap()
}

fn simulate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulate");
    group.throughput(Throughput::Elements(DECISIONS)).sample_size(10);
    let names: Vec<String> = (0..31).map(|i| format!("t{i:02}")).collect();
    let each = names.iter().map(|name| format!("{name} = {{ normal = {{ mean = 0.0, std = 1.0 }} }}"));
    let traits = each.collect::<Vec<_>>().join("\n");
    let wide = format!("[shoppers]\ncontext = {names:?}\n[shoppers.traits]\n{traits}\n");
    for (name, slot, shoppers) in [
        ("beta, 10 arms", "model = \"beta_bernoulli\"", ""),
        ("normal-inverse-gamma, 10 arms", "model = \"normal_inverse_gamma\"", ""),
        ("linear d = 32, 10 arms", "model = { linear = { dimension_budget = 32 } }", wide.as_str()),
    ] {
        let loaded = offer(slot, shoppers);
        let setup = Setup::new(&loaded.scenario, 1).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| replicate(&setup, 0, &NoRunProgress).unwrap()));
    }
    let loaded = offer("model = \"beta_bernoulli\"", "");
    let setup = Setup::new(&loaded.scenario, 1).unwrap();
    let environment = Environment::new(&loaded.scenario, &setup.slot.goal, 1, 0).unwrap();
    group.bench_function("shoppers and truth alone", |bencher| {
        bencher.iter(|| {
            let mut truth = Truth::default();
            environment
                .traffic()
                .map(|visit| {
                    environment.truth(&visit, &mut truth);
                    truth.expected[0]
                })
                .sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, simulate);
criterion_main!(benches);
