//! The `slotwise-simulator` program: see [`slotwise_simulator::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    slotwise_simulator::cli::main()
}
