//! The `slotwise` program: see [`slotwise::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    slotwise::cli::main()
}
