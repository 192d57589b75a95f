//! Flags from the environment.

use clap::Command;

/// Prefix of the names of all variables.
const PREFIX: &str = "SLOTWISE_";

/// Lets every flag of a command and its subcommands be set by a variable: `--grpc-address` by `SLOTWISE_GRPC_ADDRESS`.
/// A flag on the command line wins, and a variable wins over the configuration file.
pub(super) fn with_variables(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut command = command.mut_args(|argument| {
        let Some(flag) = argument.get_long().filter(|flag| !["help", "version"].contains(flag)) else {
            return argument;
        };
        let name = format!("{PREFIX}{}", flag.replace('-', "_").to_uppercase());
        // The parser keeps names for as long as the program runs; there are some dozens.
        let name: &'static str = name.leak();
        argument.env(name).hide_env_values(true)
    });
    for name in names {
        command = command.mut_subcommand(name, with_variables);
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_flag_has_its_variable() {
        fn check(command: &Command, seen: &mut usize) {
            for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
                let flag = argument.get_long().unwrap();
                let want = format!("SLOTWISE_{}", flag.to_uppercase().replace('-', "_"));
                assert_eq!(argument.get_env().unwrap().to_str(), Some(want.as_str()), "{}", command.get_name());
                *seen += 1;
            }
            command.get_subcommands().for_each(|sub| check(sub, seen));
        }
        let mut seen = 0;
        check(&with_variables(super::super::Args::command()), &mut seen);
        assert!(seen > 30, "{seen} flags");
    }
}
