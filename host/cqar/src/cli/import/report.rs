//! What an import did, for people: counts and problems by kind; with `--details` each change, problem and bound code.

use cqar_proto::v1::{
    ImportCoverage, ImportProblems, ImportSummary, ImportedMarket, InstrumentKind, finding::Severity,
    imported_market::Outcome,
};

use super::listing::ImportAnswer;
use crate::cli::{error::CliError, output, rows};

/// So many addresses of further requests are shown.
const SHOWN_REQUESTS: usize = 10;

/// Prints it.
pub fn print(answer: ImportAnswer, validate_only: bool, details: bool) -> Result<(), CliError> {
    let ImportAnswer { summary, markets, bindings, warnings, more } = answer;
    let changes = markets.iter().filter(|market| market.outcome() != Outcome::Rejected);
    if validate_only {
        output::table(["OUTCOME", "SEGMENT", "SYMBOL", "FIELD", "BEFORE", "AFTER"], changes.flat_map(difference))?;
    } else if details {
        output::table(["OUTCOME", "SEGMENT", "SYMBOL", "FIELDS"], changes.cloned().map(change))?;
    }
    if details {
        let rejected: Vec<_> = markets.into_iter().filter(|market| market.outcome() == Outcome::Rejected).collect();
        if !rejected.is_empty() {
            let headers = ["SEGMENT", "SYMBOL", "CODE", "MESSAGE", "CANDIDATES"];
            output::table(headers, rejected.into_iter().map(rejection))?;
        }
        if !warnings.is_empty() {
            output::table(rows::FINDING, warnings.into_iter().map(rows::finding))?;
        }
        if !bindings.is_empty() {
            let rows = bindings.into_iter().map(|bound| {
                let how = if bound.created { "created" } else { "matched by symbol" };
                [bound.segment, bound.code, bound.symbol, how.to_owned(), bound.asset_id]
            });
            output::table(["SEGMENT", "BOUND CODE", "ASSET", "HOW", "ID"], rows)?;
        }
    } else if !summary.problems.is_empty() {
        let rows = summary.problems.iter().flat_map(problem);
        output::table(["PROBLEM", "TIMES", "SEVERITY", "FOR EXAMPLE"], rows)?;
    }
    if !more.is_empty() {
        let hidden = more.len().saturating_sub(SHOWN_REQUESTS);
        let shown = more.into_iter().take(SHOWN_REQUESTS).map(|source| [source.segment, source.url]);
        output::table(["SEGMENT", "FURTHER REQUEST"], shown)?;
        if hidden > 0 {
            eprintln!("and {hidden} further requests; --output json has them all");
        }
    }
    output::pairs(pairs(&summary, validate_only).map(|(name, value)| (name.to_owned(), value)))?;
    Ok(())
}

fn pairs(summary: &ImportSummary, validate_only: bool) -> [(&'static str, String); 13] {
    let committed = match (validate_only, summary.replayed) {
        (true, _) => "nothing: --validate-only",
        (false, true) if summary.rows_omitted => "before: this is what is kept of the answer to the same request",
        (false, true) => "before: this is the stored answer to the same request",
        (false, false) => "",
    };
    let some = |count: i32| if count == 0 { String::new() } else { count.to_string() };
    [
        ("created", summary.created.to_string()),
        ("updated", summary.updated.to_string()),
        ("unchanged", summary.unchanged.to_string()),
        ("delisted", summary.delisted.to_string()),
        ("rejected", summary.rejected.to_string()),
        ("delistings refused", some(summary.delistings_refused)),
        ("ignored", summary.ignored.to_string()),
        ("codes bound", some(summary.bound)),
        ("covered completely", summary.covered.iter().map(covered).collect::<Vec<_>>().join(", ")),
        ("further requests", summary.more.to_string()),
        ("observed time", output::time(summary.observed_time.as_ref())),
        ("revision", summary.revision.to_string()),
        ("committed", committed.to_owned()),
    ]
}

/// A kind of problem, and an example a line.
fn problem(of_kind: &ImportProblems) -> Vec<[String; 4]> {
    let severity = output::short(Severity::try_from(of_kind.severity).map_or("", |it| it.as_str_name()), "SEVERITY_");
    let mut first = [of_kind.code.clone(), of_kind.count.to_string(), severity];
    let row = |example: &String| {
        let [code, count, severity] = std::mem::take(&mut first);
        [code, count, severity, example.clone()]
    };
    of_kind.examples.iter().map(row).collect()
}

/// `spot`, or `usdm (perpetual, quote USDT)`.
fn covered(covered: &ImportCoverage) -> String {
    let kind = (covered.kind() != InstrumentKind::Unspecified)
        .then(|| output::short(covered.kind().as_str_name(), "INSTRUMENT_KIND_").to_lowercase());
    let codes = [("base", &covered.base_code), ("quote", &covered.quote_code), ("settle", &covered.settle_code)];
    let codes = codes.into_iter().filter(|(_, code)| !code.is_empty()).map(|(what, code)| format!("{what} {code}"));
    let only: Vec<String> = kind.into_iter().chain(codes).collect();
    if only.is_empty() { covered.segment.clone() } else { format!("{} ({})", covered.segment, only.join(", ")) }
}

/// A field a line; a market without any has a line of its own.
fn difference(market: &ImportedMarket) -> Vec<[String; 6]> {
    let [outcome, segment, symbol, _] = change(market.clone());
    let row = |field: &str, before: &str, after: &str| {
        [&outcome, &segment, &symbol, field, before, after].map(|text: &str| text.to_owned())
    };
    if market.differences.is_empty() {
        return vec![row("", "", "")];
    }
    market.differences.iter().map(|it| row(&it.field, &it.before, &it.after)).collect()
}

fn change(market: ImportedMarket) -> [String; 4] {
    let outcome = output::short(market.outcome().as_str_name(), "OUTCOME_");
    [outcome, market.segment, market.venue_symbol, market.changed_fields.join(", ")]
}

fn rejection(market: ImportedMarket) -> [String; 5] {
    [market.segment, market.venue_symbol, market.code, market.message, market.candidate_asset_ids.join(", ")]
}
