//! `slotwise serve`.

use std::{io::IsTerminal as _, path::PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{CommandResult, keys, say, say_document};
use crate::{
    config::{Address, Config, LogFormat, parse_ratio, standard_collector},
    server::{self, Listeners},
};

/// Flags of `serve`; each one overrides the configuration file.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Serve {
    /// Configuration file (TOML); without it, each setting has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder: journal, snapshots and key [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of the gRPC port [default: 127.0.0.1:50051]; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    grpc_address: Option<Address>,
    /// Address of the HTTP port [default: 127.0.0.1:8080]; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    http_address: Option<Address>,
    /// Answer a Decide call only when its decision is safely on the disk.
    #[arg(long)]
    durable_decisions: bool,
    /// Start although some data may be lost. Needed in two cases. First, if the journal's write-ahead log or its watermark is
    /// missing: events that were acknowledged may be lost (`slotwise journal salvage` saves the readable events to a new folder
    /// without this flag). Second, if `subjects.key` is missing: a new key is created, and known shoppers count as new ones.
    #[arg(long)]
    accept_loss: bool,
    /// Time to go on serving after SIGTERM while health probes already fail [default: 5s].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    shutdown_delay: Option<std::time::Duration>,
    /// Filter of the log, in the syntax of `RUST_LOG` [default: info]: "warn", "slotwise=debug".
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Format of a line of the log [default: text].
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Folder of pages that the simulator wrote (its `run --html FILE`), which the console shows [default: none].
    #[arg(long, value_name = "DIR")]
    simulations: Option<PathBuf>,
    /// URL of a collector of OpenTelemetry (OTLP over gRPC) that gets the spans of calls, as in `http://127.0.0.1:4317`
    /// [default: `OTEL_EXPORTER_OTLP_ENDPOINT`, or none]. Only if built with `--features otlp`.
    #[arg(long, value_name = "URL")]
    traces_endpoint: Option<String>,
    /// Probability that a call becomes a span whose caller sends no trace [default: 1].
    #[arg(long, value_name = "RATIO", value_parser = parse_ratio)]
    traces_ratio: Option<f64>,
    /// Listen on addresses that other machines reach, although no key is asked for. Everybody who reaches them can then change
    /// and delete every slot.
    #[arg(long)]
    insecure_public: bool,
    /// Create a key for an administrator and print it, if there is no key yet. It is printed once.
    #[arg(long)]
    create_admin_key: bool,
    /// Check the settings, print them as a configuration file, and exit.
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    fn config(self) -> Result<Config, Box<dyn std::error::Error + Send + Sync>> {
        let mut config = match &self.config {
            Some(file) => Config::read(file)?,
            None => Config::default(),
        };
        config.data = self.data.unwrap_or(config.data);
        config.grpc_address = self.grpc_address.unwrap_or(config.grpc_address);
        config.http_address = self.http_address.unwrap_or(config.http_address);
        config.shutdown_delay = self.shutdown_delay.unwrap_or(config.shutdown_delay);
        config.durable_decisions |= self.durable_decisions;
        config.accept_loss = self.accept_loss;
        config.insecure_public = self.insecure_public;
        config.simulations = self.simulations.or(config.simulations);
        config.traces.endpoint = self.traces_endpoint.or(config.traces.endpoint).or_else(standard_collector);
        config.traces.ratio = self.traces_ratio.unwrap_or(config.traces.ratio);
        config.log = self.log.unwrap_or(config.log);
        config.log_format = self.log_format.unwrap_or(config.log_format);
        Ok(config)
    }

    pub(super) async fn run(self) -> CommandResult {
        let (print, create_admin_key) = (self.print_config, self.create_admin_key);
        let config = self.config()?;
        server::check(&config)?;
        let filter = EnvFilter::try_new(&config.log).map_err(|why| {
            format!("the setting `log` is not valid: {why}; write it as info, or slotwise=debug,warn")
        })?;
        if print {
            for address in [&config.grpc_address, &config.http_address] {
                address.resolve().await.map_err(|why| format!("cannot listen on {address}: {why}"))?;
            }
            say_document(toml::to_string_pretty(&config)?.trim_end());
            return Ok(());
        }
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match config.log_format {
            LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => subscriber.json().init(),
        }
        if create_admin_key && let Some(key) = keys::create_admin_key(&config.data)? {
            say_document(&key);
        }
        server::raise_descriptor_limit();
        let listeners = Listeners::bind(&config).await?;
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let line = format!(
            "slotwise {} serves gRPC on {} and HTTP on {}, data in {}",
            env!("CARGO_PKG_VERSION"),
            listeners.grpc_address()?,
            listeners.http_address()?,
            config.data.display()
        );
        // In one line whatever its width, because scripts wait for it.
        server::run(listeners, &config, stop, || say_document(&line)).await?;
        say("stopped; everything is saved");
        Ok(())
    }
}

/// Cancels `stop` at the first SIGTERM or SIGINT.
#[expect(clippy::disallowed_methods, reason = "it ends with the process, and there is nothing to wait for")]
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
