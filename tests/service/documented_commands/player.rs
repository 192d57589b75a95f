//! Plays the commands of a page in a fresh folder.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use super::page::{CodeBlock, Page, Statement, service_command, simulator_command};

/// Stand-in for curl on a machine without it: it sends what `--json` is followed by, else asks for the page.
pub(crate) const CURL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
body= method=GET
while (($#)); do
  case $1 in
    -s) ;;
    --json) body=$2 method=POST; shift ;;
    http://*) url=${1#http://} ;;
    *) echo "curl: $1 is not known here" >&2; exit 2 ;;
  esac
  shift
done
host=${url%%/*} path=/${url#*/}
exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
bytes=$(printf %s "$body" | wc -c)
printf '%s %s HTTP/1.0\r\nhost: %s\r\ncontent-type: application/json\r\ncontent-length: %s\r\n\r\n%s' \
  "$method" "$path" "$host" "$bytes" "$body" >&3
sed '1,/^\r$/d' <&3
"#;

/// Longest time of a command.
const COMMAND_TIME: Duration = Duration::from_mins(1);

/// The programs under their names in the documentation.
pub(crate) struct Programs<'a> {
    pub(crate) slotwise: Option<&'a Path>,
    pub(crate) simulator: Option<&'a Path>,
}

/// Addresses of a running service.
#[derive(Clone)]
pub(crate) struct Addresses {
    pub(crate) grpc: String,
    pub(crate) http: String,
}

/// A service that the page started, ended when it is dropped.
struct StartedService(Child);

impl Drop for StartedService {
    fn drop(&mut self) {
        // The service may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A page that is being played.
pub(crate) struct Player {
    folder: tempfile::TempDir,
    programs: PathBuf,
    service: Option<StartedService>,
    pub(crate) addresses: Option<Addresses>,
    /// Id of a decision, which stands in for the ids in the page.
    pub(crate) decision_id: Option<String>,
}

impl Player {
    pub(crate) fn new(programs: &Programs<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir_all(folder.path().join("page")).unwrap();
        fs::create_dir(&bin).unwrap();
        for (name, program) in [("slotwise", programs.slotwise), ("slotwise-simulator", programs.simulator)] {
            if let Some(program) = program {
                std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
            }
        }
        if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
            let curl = bin.join("curl");
            fs::write(&curl, CURL).unwrap();
            fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder, programs: bin, service: None, addresses: None, decision_id: None }
    }

    /// Returns the folder in which the commands run.
    pub(crate) fn page_folder(&self) -> PathBuf {
        self.folder.path().join("page")
    }

    pub(crate) fn save(&self, name: &str, text: &str) {
        let path = self.page_folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Plays a block. Returns a sentence about the first command that fails or prints something else.
    pub(crate) fn play(&mut self, page: &Page, block: &CodeBlock) -> Result<usize, String> {
        let statements = block.statements();
        for statement in &statements {
            let played = self.play_statement(statement, block.not_compared.is_none());
            played.map_err(|why| format!("{}:{}: {}: {why}", page.path.display(), block.line, statement.command))?;
        }
        Ok(statements.len())
    }

    fn play_statement(&mut self, statement: &Statement, compare: bool) -> Result<(), String> {
        let command = self.command_line(&statement.command);
        let starts_service = service_command(&statement.command).is_some_and(|arguments| {
            arguments.split_whitespace().next() == Some("serve") && !arguments.contains("--print-config")
        });
        if starts_service {
            return self.start_service(&command);
        }
        let output = self.run(&command)?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let shown = statement.output.as_deref().unwrap_or_default();
        let fails_on_page = shown.iter().any(|line| line.starts_with("error: "));
        // A difference under `--check` has the exit code 2.
        let differs = statement.command.contains("--check") && output.status.code() == Some(2);
        if output.status.success() == fails_on_page && !differs {
            return Err(format!("{}\n{text}", output.status));
        }
        if statement.output.is_some() && compare {
            return compare_output(shown, &text);
        }
        Ok(())
    }

    /// Returns the command with the programs, addresses and ids of this run.
    fn command_line(&self, command: &str) -> String {
        let mut line = if let Some(arguments) = simulator_command(command) {
            format!("slotwise-simulator {arguments}")
        } else if let Some(arguments) = service_command(command) {
            format!("slotwise {arguments}")
        } else {
            command.to_owned()
        };
        if let Some(Addresses { grpc, http }) = &self.addresses {
            line = line.replace("127.0.0.1:50051", grpc).replace("127.0.0.1:8080", http);
        }
        if let Some(id) = &self.decision_id
            && let Some(shown) = line.split_whitespace().find(|word| is_decision_id(word))
        {
            line = line.replace(shown, id);
        }
        line
    }

    fn bash(&self, command: &str) -> Command {
        let mut bash = Command::new("bash");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&path));
        bash.args(["-euo", "pipefail", "-c", command]).current_dir(self.page_folder());
        bash.env("PATH", std::env::join_paths(paths).unwrap()).env("USER", "ann").env("SLOTWISE_SHUTDOWN_DELAY", "0s");
        bash.env("SLOTWISE_GRPC_ADDRESS", "127.0.0.1:0").env("SLOTWISE_HTTP_ADDRESS", "127.0.0.1:0");
        if let Some(Addresses { grpc, .. }) = &self.addresses {
            bash.env("SLOTWISE_TARGET", grpc);
        }
        bash.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        bash
    }

    /// Runs a command to its end, or ends it after [`COMMAND_TIME`].
    pub(crate) fn run(&self, command: &str) -> Result<Output, String> {
        let mut child = self.bash(command).spawn().map_err(|why| why.to_string())?;
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let read_all = |mut from: Box<dyn std::io::Read + Send>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).map(|_| bytes)
            })
        };
        let (stdout, stderr) = (read_all(Box::new(stdout)), read_all(Box::new(stderr)));
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|why| why.to_string())? {
                break status;
            }
            if begun.elapsed() > COMMAND_TIME {
                child.kill().map_err(|why| why.to_string())?;
                return Err(format!("it did not end within {COMMAND_TIME:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let bytes = |reader: std::thread::JoinHandle<std::io::Result<Vec<u8>>>| reader.join().unwrap().unwrap();
        Ok(Output { status, stdout: bytes(stdout), stderr: bytes(stderr) })
    }

    /// Starts the service, and waits for the line that names its addresses.
    pub(crate) fn start_service(&mut self, command: &str) -> Result<(), String> {
        let mut child = self.bash(&format!("exec {command}")).spawn().map_err(|why| why.to_string())?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).map_err(|why| why.to_string())?;
        let after = |what: &str| {
            let rest = line.split(what).nth(1)?;
            rest.split([' ', ',', '\n']).next().map(str::to_owned)
        };
        let Some((grpc, http)) = after("gRPC on ").zip(after("HTTP on ")) else {
            let mut error = String::new();
            child.kill().map_err(|why| why.to_string())?;
            child.stderr.take().unwrap().read_to_string(&mut error).map_err(|why| why.to_string())?;
            return Err(format!("the service did not start: {line}{error}"));
        };
        // Drain the log, so that a full pipe does not stop the service.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        drop(self.service.replace(StartedService(child)));
        self.addresses = Some(Addresses { grpc, http });
        Ok(())
    }
}

fn is_decision_id(word: &str) -> bool {
    word.len() == 26 && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
}

/// Compares the output on the page with the real one. Words that hold a digit differ from run to run, and so do the bars
/// and the widths of tables. A line `…` stands for any lines.
fn compare_output(shown: &[String], real: &str) -> Result<(), String> {
    let real_lines: Vec<String> = real.lines().map(normalise).collect();
    let mut rest = real_lines.as_slice();
    let mut skips = false;
    for line in shown {
        if line == "…" {
            skips = true;
            continue;
        }
        let wanted = normalise(line);
        let found = rest.iter().position(|line| *line == wanted);
        match found {
            Some(at) if at == 0 || skips => rest = &rest[at + 1..],
            _ => return Err(format!("the page shows the line\n{line}\nand the command printed\n{real}")),
        }
        skips = false;
    }
    if rest.is_empty() || skips { Ok(()) } else { Err(format!("the page does not show all of\n{real}")) }
}

fn normalise(line: &str) -> String {
    let line: String = line.chars().filter(|c| !('█'..='▏').contains(c) && !matches!(c, '─' | '═')).collect();
    let words = line.split_whitespace().map(|word| {
        let ends = |c: char| !c.is_alphanumeric();
        let core = word.trim_matches(ends);
        if core.chars().any(|c| c.is_ascii_digit()) { word.replace(core, "#") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}
