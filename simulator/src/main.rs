//! The `slotwise-simulator` program: see [`slotwise_simulator::cli`].

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    slotwise_simulator::cli::main()
}
