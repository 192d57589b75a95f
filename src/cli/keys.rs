//! `slotwise keys`: the keys that callers present, in the data folder.
//!
//! The commands work on the folder itself, so that the first key can be made before anybody has one. A running service takes a
//! change within a quarter of a second.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::{CommandResult, Data, ReportFormat, say, say_document, table::fitted_cutting, terminal::printable};
use crate::{
    access::{AccessKey, KeyDraft, KeyFileError, KeyStore, NewKey, Role, SlotPattern},
    node::{Clock as _, SystemClock},
    wire::time_text,
};

/// Name of the key that `serve --create-admin-key` creates.
const ADMIN: &str = "admin";

/// Flags of `keys`.
#[derive(Debug, clap::Args)]
pub(super) struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Create a key and print it. It is printed once, and only its hash is stored.
    Create(CreateKey),
    /// List the keys.
    List {
        #[command(flatten)]
        data: Data,
        /// Format of the output.
        #[arg(short, long, default_value = "table")]
        output: ReportFormat,
    },
    /// Revoke a key. Its calls are refused, and its streams end, within a quarter of a second.
    Revoke {
        /// Id or name of the key.
        key: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, clap::Args)]
struct CreateKey {
    /// Name for people. It stands beside every change that the key makes.
    #[arg(long)]
    name: String,
    /// Role; give the flag once for each.
    #[arg(long = "role", value_enum, required = true)]
    roles: Vec<Role>,
    /// Slots that the key may reach: an id, or a pattern such as 'search-*'; default all.
    #[arg(long = "slots", value_name = "PATTERN")]
    slots: Vec<SlotPattern>,
    /// Time after which the key is no longer taken, such as 90days; default never.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// Origin of a web page, as in `https://shop.example`, which makes the key a publishable one: with the roles decide and record
    /// only, and for pages of these origins.
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Calls per second that the key may make; default no limit of its own.
    #[arg(long, value_name = "N")]
    calls_per_second: Option<u32>,
    #[command(flatten)]
    data: Data,
}

fn now_us() -> i64 {
    SystemClock::default().now_us()
}

/// Creates a key for an administrator, if there is no key yet. Returns what is to be printed.
pub(super) fn create_admin_key(folder: &Path) -> Result<Option<String>, KeyFileError> {
    let store = KeyStore::new(folder);
    if store.read()?.is_some() {
        return Ok(None);
    }
    let draft = KeyDraft { name: ADMIN.into(), roles: [Role::Admin].into(), ..KeyDraft::default() };
    let NewKey { text, .. } = store.create(draft, now_us())?;
    Ok(Some(format!("admin key, which is shown once: {text}")))
}

impl KeysArguments {
    pub(super) fn run(self) -> CommandResult {
        match self.command {
            KeysCommand::Create(create) => create.run(),
            KeysCommand::List { data, output } => {
                let keys = KeyStore::new(&data.data).read()?.unwrap_or_default();
                let now_us = now_us();
                match output {
                    ReportFormat::Table if keys.is_empty() => {
                        say("no keys yet; create one with `slotwise keys create --name NAME --role ROLE`");
                    }
                    ReportFormat::Table => say(keys_table(&keys, now_us)),
                    ReportFormat::Json => say(serde_json::to_string_pretty(&keys_json(&keys, now_us))?),
                }
                Ok(())
            }
            KeysCommand::Revoke { key, data } => {
                let AccessKey { id, name, .. } = KeyStore::new(&data.data).revoke(&key, now_us())?;
                say(format!("revoked {id} '{}'", printable(&name)));
                Ok(())
            }
        }
    }
}

impl CreateKey {
    fn run(self) -> CommandResult {
        let Self { name, roles, slots, expires_in, origins, calls_per_second, data } = self;
        let now_us = now_us();
        let end = |time: Duration| now_us.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
        let roles = roles.into_iter().collect();
        let draft = KeyDraft { name, roles, slots, origins, calls_per_second, expires_us: expires_in.map(end) };
        let NewKey { key, text } = KeyStore::new(&data.data).create(draft, now_us)?;
        say_document(&text);
        let note = format!("created {}; keep the key now, because it is not stored and cannot be shown again", key.id);
        // The key alone goes to standard output, so that a script can take it.
        let _ = writeln!(io::stderr(), "{note}");
        Ok(())
    }
}

fn role_names(key: &AccessKey) -> Vec<&'static str> {
    key.roles.iter().map(|role| role.name()).collect()
}

fn keys_table(keys: &[AccessKey], now_us: i64) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["id", "name", "status", "roles", "slots", "expires", "origins"]);
    for key in keys {
        let slots: Vec<&str> = key.slots.iter().map(SlotPattern::as_str).collect();
        table.add_row([
            key.id.clone(),
            printable(&key.name).into_owned(),
            key.status(now_us).name().to_owned(),
            role_names(key).join(" "),
            slots.join(" "),
            key.expires_us.map_or_else(|| "never".to_owned(), |us| time_text(us)[..10].to_owned()),
            printable(&key.origins.join(" ")).into_owned(),
        ]);
    }
    fitted_cutting(table, &[6, 5, 4], &[1, 3, 4])
}

fn keys_json(keys: &[AccessKey], now_us: i64) -> serde_json::Value {
    let key = |key: &AccessKey| {
        json!({
            "id": key.id,
            "name": key.name,
            "status": key.status(now_us).name(),
            "roles": role_names(key),
            "slots": key.slots,
            "origins": key.origins,
            "calls_per_second": key.calls_per_second,
            "created": time_text(key.created_us),
            "expires": key.expires_us.map(time_text),
            "revoked": key.revoked_us.map(time_text),
        })
    };
    json!({"keys": keys.iter().map(key).collect::<Vec<_>>()})
}
