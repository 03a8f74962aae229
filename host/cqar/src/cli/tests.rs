use clap::{CommandFactory as _, error::ErrorKind};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    // What stands in quotes is one word.
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(n, part)| if n % 2 == 1 { vec![part] } else { part.split_whitespace().collect() });
    Cli::try_parse_from(words)
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

fn examples(command: &clap::Command, found: &mut Vec<String>) {
    for help in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten() {
        let text = help.to_string();
        let lines = text.lines().filter_map(|line| line.trim().split("   ").next());
        // What feeds a pipe, and what reads from one, are commands of others.
        let commands = lines
            .flat_map(|line| line.split(" | "))
            .flat_map(|line| line.split(" && "))
            .map(str::trim)
            .filter(|line| line.starts_with("cqar "));
        found.extend(commands.map(|line| line.split(" > ").next().unwrap().split(" < ").next().unwrap().to_owned()));
    }
    command.get_subcommands().for_each(|command| examples(command, found));
}

#[test]
fn every_example_in_the_help_is_a_command_that_exists() {
    let mut found = Vec::new();
    examples(&Cli::command(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    for line in found {
        if let Err(error) = parse(&line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn the_help_fits_a_terminal_of_100_columns() {
    for command in Cli::command().get_subcommands().chain([&Cli::command()]) {
        let help = command.get_after_help().unwrap().to_string();
        let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

#[test]
fn every_command_that_does_something_has_examples() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_after_help().is_some(), "{}", command.get_name());
    }
}

#[test]
fn options_of_the_client_go_anywhere() {
    let cli = parse("cqar resolve binance BTCUSDT --server http://a:1 -o json --timeout 2s").unwrap();
    assert_eq!((cli.client.server(), cli.client.output), ("http://a:1", Some(OutputFormat::Json)));
    assert_eq!(cli.client.timeout, Some(Duration::from_secs(2)));
    assert_eq!(parse("cqar --server http://a:1 status").unwrap().client.server(), "http://a:1");
}

#[test]
fn wrong_arguments_are_refused_with_what_is_allowed() {
    for (line, said) in [
        ("cqar --server a status", "must be a URL"),
        ("cqar status --timeout 5", "must be a duration"),
        ("cqar list markets --status trading", "must be one of announced, pre_launch, active"),
        ("cqar resolve binance BTCUSDT --as-of yesterday", "must be a time in RFC 3339"),
        ("cqar apply -f a.yaml --request-id 7", "must be a UUID"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation, "{line}");
        assert!(error.to_string().contains(said), "{line}: {error}");
    }
    for line in ["cqar resolve binance", "cqar apply", "cqar import listing a.json", "cqar get market"] {
        assert_eq!(parse(line).unwrap_err().kind(), ErrorKind::MissingRequiredArgument, "{line}");
    }
}

#[test]
fn serve_takes_the_starter_dataset_with_and_without_a_directory() {
    let starter = |line| match parse(line).unwrap().command {
        Command::Serve(args) => args.starter,
        _ => None,
    };
    assert_eq!(starter("cqar serve"), None);
    assert_eq!(starter("cqar serve --starter"), Some(None));
    assert_eq!(starter("cqar serve --starter data"), Some(Some("data".into())));
}

#[test]
fn each_status_has_its_exit_code() {
    use tonic::Code;
    for (code, exit) in [
        (Code::NotFound, 3),
        (Code::InvalidArgument, 4),
        (Code::FailedPrecondition, 5),
        (Code::Aborted, 5),
        (Code::AlreadyExists, 5),
        (Code::Unavailable, 6),
        (Code::DeadlineExceeded, 6),
        (Code::Unauthenticated, 7),
        (Code::Internal, 1),
    ] {
        assert_eq!(Exit::from(code) as u8, exit, "{code:?}");
    }
}

#[test]
fn a_server_that_went_away_is_said_to_have_gone_and_why() {
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused");
    let error = CliError::from(tonic::Status::from_error(Box::new(tonic::ConnectError(Box::new(refused)))));
    assert_eq!(error.to_string(), "the server cannot be reached any more: Connection refused");
    assert_eq!(error.exit() as u8, 6);
}

#[test]
fn an_error_is_shown_with_its_fields_and_candidates() {
    use tonic_types::{ErrorDetails, StatusExt as _};
    let mut details = ErrorDetails::new();
    details
        .set_error_info("AMBIGUOUS_SYMBOL", "cqar", [("venue".to_owned(), "binance".to_owned())])
        .add_precondition_failure_violation("CANDIDATE", "018f", "BTC/USDT in spot")
        .add_bad_request_violation("mutations[3].create_market.tick_size", "must be above 0");
    let status = tonic::Status::with_error_details(tonic::Code::FailedPrecondition, "several markets match", details);
    assert_eq!(
        error::describe(&status),
        "several markets match [AMBIGUOUS_SYMBOL]\n  mutations[3].create_market.tick_size: must be above 0\n  \
         018f: BTC/USDT in spot\n  venue: binance"
    );
}
