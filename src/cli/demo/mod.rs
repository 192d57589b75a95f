//! The command `slotwise demo`: a real service in this process, and a simulated shop that it learns from as one
//! watches.
//!
//! * [`catalogue`]: the scenario, `shop.toml`: three places with twelve things each, which become a ranking, an offer and
//!   a block.
//! * [`shoppers`]: visits, their expected rewards and their outcomes. Pure, and the same for the same seed.
//! * [`traffic`]: the shop as a client, over gRPC, with real decisions and rewards.
//! * [`tally`]: the results, beside those of other policies with the same shoppers.
//! * [`screen`]: the dashboard and the summary.
//!
//! The service is the one that `serve` runs, with a temporary folder that is removed at the end. The shop sends it
//! only what a real shop would send. The truth serves only to compare.

mod catalogue;
mod screen;
mod shoppers;
mod tally;
mod traffic;

use std::{sync::Arc, time::Duration};

use clap::Args;
use tokio::time::{MissedTickBehavior, interval_at, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{CommandResult, say, say_styled};
use crate::{
    client::Client,
    config::{Address, Config},
    server::{self, Listeners},
};
use screen::{DashboardHead, Screen};
use shoppers::DemoShoppers;
use tally::Board;
use traffic::{TrafficError, now};

/// Seconds between the lines of a demo without a terminal.
const PLAIN_EVERY: u64 = 5;

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Duration in seconds. Ctrl-C ends the demo early.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seed of the shoppers: the same seed, the same shoppers.
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
    /// Go on serving after the shoppers left, so that the console can be looked at, until Ctrl-C.
    #[arg(long)]
    stay: bool,
    /// Address of gRPC. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    grpc_address: Address,
    /// Address of HTTP. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    http_address: Address,
}

impl Demo {
    pub(super) async fn run(self) -> CommandResult {
        let folder = tempfile::Builder::new().prefix("slotwise-demo-").tempdir().map_err(|why| {
            format!("cannot make a temporary folder: {why}; set TMPDIR to a folder that can be written")
        })?;
        let config = Config {
            grpc_address: self.grpc_address,
            http_address: self.http_address,
            data: folder.path().to_owned(),
            shutdown_delay: Duration::ZERO,
            ..Config::default()
        };
        let listeners = Listeners::bind(&config).await?;
        let head = DashboardHead {
            target: format!("http://{}", listeners.grpc_address()?),
            http: format!("http://{}", listeners.http_address()?),
            seed: self.seed,
            length: Duration::from_secs(self.seconds),
        };
        say(format_args!("slotwise demo: gRPC on {}, HTTP on {}, seed {}", head.target, head.http, head.seed));
        say(format_args!("watch it learn in a browser: {}/", head.http));
        say(format_args!("or in another terminal: slotwise report offers --target {}", head.target));

        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut serving =
            TaskTracker::new().spawn(async move { server::run(listeners, &config, stopped, || ()).await });
        let stay = self.stay;
        let play = async {
            show(&head).await?;
            if stay {
                say(format_args!("the service goes on at {}/ until Ctrl-C", head.http));
                enough(Duration::MAX).await?;
            }
            CommandResult::Ok(())
        };
        let shown = tokio::select! {
            shown = play => shown,
            // The service stops by itself only after a failure.
            served = &mut serving => return Ok(served??),
        };
        stop.cancel();
        let served = serving.await?;
        let removed = folder.close();
        shown?;
        served?;
        Ok(removed.map_err(|why| format!("the demo's data could not be removed: {why}; remove it by hand"))?)
    }
}

/// Opens the shop, draws the dashboard, and prints the summary.
async fn show(head: &DashboardHead) -> CommandResult {
    let mut client = Client::connect(&head.target).await?;
    let places = catalogue::read_places().map_err(TrafficError::Scenario)?;
    let shoppers = DemoShoppers::new(places, head.seed).map_err(|why| TrafficError::Scenario(why.to_string()))?;
    let shoppers = Arc::new(shoppers);
    traffic::open_shop(&mut client, &shoppers).await?;
    let screen = Screen::open();
    let mut board = Board::new()?;
    let elapsed = serve_and_draw(head, &client, &shoppers, &mut board, screen.as_ref()).await?;
    drop(screen);
    say("");
    screen::summary(elapsed, &board).iter().for_each(say_styled);
    agree(&mut client, &board).await
}

/// Serves shoppers until the time is up or a signal comes, and returns the elapsed time.
async fn serve_and_draw(
    head: &DashboardHead,
    client: &Client,
    shoppers: &Arc<DemoShoppers>,
    board: &mut Board,
    screen: Option<&Screen>,
) -> Result<Duration, Box<dyn std::error::Error + Send + Sync>> {
    let halt = CancellationToken::new();
    let begun = now();
    let (mut tasks, mut notes) = traffic::open_doors(client, shoppers, &halt);
    let second = Duration::from_secs(1);
    let mut tick = interval_at(tokio::time::Instant::now() + second, second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = enough(head.length);
    tokio::pin!(end);
    let mut elapsed = head.length;
    if let Some(screen) = screen {
        screen.draw(head, Duration::ZERO, board);
    }
    loop {
        tokio::select! {
            note = notes.recv() => match note {
                Some(note) => board.count(note),
                None => break,
            },
            Some(ended) = tasks.join_next() => ended??,
            _ = tick.tick(), if !halt.is_cancelled() => {
                board.next_second();
                let since = begun.elapsed();
                match screen {
                    Some(screen) => screen.draw(head, since, board),
                    None if since.as_secs().is_multiple_of(PLAIN_EVERY) => {
                        screen::plain(since, board).iter().for_each(say_styled);
                    }
                    None => {}
                }
            }
            ended = &mut end, if !halt.is_cancelled() => {
                ended?;
                elapsed = begun.elapsed();
                halt.cancel();
            }
        }
    }
    // The notes end with the last task. A failed task returns its error here.
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    board.next_second();
    Ok(elapsed)
}

/// Waits until the time is up, or for SIGINT or SIGTERM.
async fn enough(length: Duration) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        () = sleep(length) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Maximum number of looks at the service's report until it has all decisions, and the pause between two: five seconds
/// in all.
const REPORT_LOOKS: u32 = 50;
const REPORT_PAUSE: Duration = Duration::from_millis(100);

/// Compares the service's own reports with the shop's counts.
async fn agree(client: &mut Client, board: &Board) -> CommandResult {
    for (place, tally) in catalogue::places().iter().zip(&board.tallies) {
        let (counted, brought) = (tally.total.decisions, tally.total.reward());
        let mut report = client.report(&place.id).await?;
        let mut looks = 1;
        // The last decisions were answered, but writing them can take a moment longer.
        while report.counters.decisions < counted && looks < REPORT_LOOKS {
            sleep(REPORT_PAUSE).await;
            report = client.report(&place.id).await?;
            looks += 1;
        }
        let (theirs, reward) = (report.counters.decisions, report.reward_per_decision());
        if theirs != counted || (reward - brought).abs() > 1e-6 {
            let id = &place.id;
            return Err(format!(
                "the service's report of '{id}' has {theirs} decisions and {reward:.6} reward per decision, the shop counted {counted} and {brought:.6}; please report this"
            )
            .into());
        }
    }
    say("The service's own reports say the same.");
    Ok(())
}
