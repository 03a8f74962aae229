//! What an import reports: counts, what was wrong or unusual by kind, and every row that matters.

use std::collections::{BTreeMap, BTreeSet};

use cqar_domain::{
    entities::Entity,
    finding::Finding,
    id::{EntityKey, MarketId, Segment},
};
use cqar_plugins::RowProblem;
use cqar_proto::{
    document::document,
    v1::{self, finding::Severity},
};
use serde_json::{Map, Value};

use super::{
    assets::{CodeBinding, looks_like_a_multiple},
    coverage,
    draft::{ImportDraft, Origin},
    listing::Listing,
    report::ImportReport,
    row::Rejection,
};
use crate::{plan::PlannedChange, write::WriteOutcome};

/// What the commit alone changes.
const OF_THE_COMMIT: [&str; 4] = ["revision", "etag", "create_time", "update_time"];

/// So many problems of a kind are told in the summary, each in so many characters.
const EXAMPLES: usize = 3;
const EXAMPLE_LENGTH: usize = 300;

/// So many kinds are told: their names are the plugin's.
const MAX_KINDS: usize = 100;

/// What the other kinds are called together.
const OTHER_KINDS: &str = "OTHERS";

impl ImportDraft {
    /// The report.
    pub(super) fn report(&self, listing: &Listing, written: &WriteOutcome) -> ImportReport {
        use v1::imported_market::Outcome;
        let markets = self.markets(listing, written);
        let count = |outcome: Outcome| markets.iter().filter(|it| it.outcome == i32::from(outcome)).count();
        let updated = count(Outcome::Updated);
        let warnings = self.warnings(listing, written);
        let summary = v1::ImportSummary {
            revision: written.revision,
            observed_time: Some(listing.observed.into()),
            created: number(count(Outcome::Created)),
            updated: number(updated),
            unchanged: number(self.present.len().saturating_sub(updated)),
            delisted: number(count(Outcome::Delisted)),
            rejected: number(count(Outcome::Rejected)),
            covered: listing.covered.iter().map(coverage::message).collect(),
            replayed: false,
            ignored: i32::try_from(listing.ignored).unwrap_or(i32::MAX),
            more: number(listing.more.len()),
            rows_omitted: false,
            bound: number(self.bindings.len()),
            problems: problems(&markets, &warnings),
            delistings_refused: number(
                self.refused_delistings.iter().filter(|(_, why)| why.code == coverage::TOO_MANY_ABSENT).count(),
            ),
        };
        let rows = v1::ImportRows {
            markets,
            bindings: self.bindings.iter().map(binding).collect(),
            warnings,
            more: listing.more.clone(),
        };
        ImportReport::new(summary, rows)
    }

    /// Every market that was created, updated, delisted or rejected.
    fn markets(&self, listing: &Listing, written: &WriteOutcome) -> Vec<v1::ImportedMarket> {
        use v1::imported_market::Outcome;
        let mut markets: Vec<v1::ImportedMarket> = Vec::new();
        for change in &self.plan.changes {
            if let (Some(Entity::Market(market)), None) = (&change.before, &change.after) {
                let deleted = imported(&market.segment, &market.venue_symbol, Outcome::Deleted);
                markets.push(v1::ImportedMarket { market_id: market.id.to_string(), ..deleted });
            }
            let Some(Entity::Market(market)) = &change.after else { continue };
            let outcome = match (self.origins.get(change.mutation), &change.before) {
                (Some(Origin::Delisting(_)), _) => Outcome::Delisted,
                (_, None) => Outcome::Created,
                // Its symbol went to another market.
                (Some(Origin::Row(n)), Some(_)) if !self.present.contains(n) => Outcome::Delisted,
                (_, Some(_)) => Outcome::Updated,
            };
            markets.push(v1::ImportedMarket {
                changed_fields: changed_fields(change),
                differences: if listing.is_preview { differences(change) } else { Vec::new() },
                market_id: if change.before.is_none() && written.revision == self.plan.revision {
                    String::new()
                } else {
                    id(market.id)
                },
                ..imported(&market.segment, &market.venue_symbol, outcome)
            });
        }
        for (n, why) in &self.rejected {
            let Some(row) = listing.rows.get(*n) else { continue };
            markets.push(rejected(Some(&row.listed.reading.segment), &row.listed.symbol, why));
        }
        for (market, why) in &self.refused_delistings {
            markets.push(rejected(Some(&market.segment), &market.venue_symbol, why));
        }
        for item in &listing.rejected {
            markets.push(rejected(item.segment.as_ref(), &item.symbol, &Rejection::new(&item.code, &item.message)));
        }
        markets
    }

    /// What validators warned of, and the fields that could not be read, of codes and of rows that count.
    fn warnings(&self, listing: &Listing, written: &WriteOutcome) -> Vec<v1::Finding> {
        let of_row = |n: usize| {
            let row = listing.rows.get(n);
            row.map(|row| format!("{}/{}", row.listed.reading.segment, row.listed.symbol)).unwrap_or_default()
        };
        let read = |name: String, problem: &RowProblem| warning(name, problem, &listing.plugin);
        let judged = written.warnings.iter().map(|(n, finding)| self.warning(*n, finding));
        let of_page = listing.problems.iter().map(|problem| read("listing".to_owned(), problem));
        let of_codes = listing.hints.problems().iter().map(|(code, problem)| read(format!("code {code}"), problem));
        let rows = listing.rows.iter().enumerate().filter(|(n, _)| !self.rejected.contains_key(n));
        let of_rows = rows.flat_map(|(n, row)| row.listed.problems.iter().map(move |problem| read(of_row(n), problem)));
        let unusual = self.warnings.iter().map(|(n, problem)| warning(of_row(*n), problem, ""));
        let multiples = self.bindings.iter().filter(|bound| bound.created && looks_like_a_multiple(&bound.symbol));
        let multiples = multiples.map(|bound| {
            let problem = RowProblem {
                path: String::new(),
                code: "LOOKS_LIKE_A_MULTIPLE".to_owned(),
                message: "is not known as a multiple of another code, and became an asset of its own".to_owned(),
            };
            warning(format!("code {}", bound.code), &problem, "")
        });
        judged.chain(of_page).chain(of_codes).chain(of_rows).chain(unusual).chain(multiples).collect()
    }

    /// How many entities change.
    pub(super) fn changes(&self) -> i32 {
        number(self.plan.changes.len())
    }

    fn warning(&self, change: usize, finding: &Finding) -> v1::Finding {
        let entity = self.plan.changes.get(change).and_then(PlannedChange::entity);
        let name = match entity {
            Some(Entity::Market(market)) => format!("{}/{}", market.segment, market.venue_symbol),
            Some(other) => other.key().to_string(),
            None => String::new(),
        };
        v1::Finding { path: format!("{name}: {}", finding.path), ..finding.into() }
    }
}

/// What is unusual about something, as the plugin says, or the registry.
fn warning(name: String, problem: &RowProblem, plugin: &str) -> v1::Finding {
    let path = if problem.path.is_empty() { name } else { format!("{name}: {}", problem.path) };
    v1::Finding {
        severity: Severity::Warning.into(),
        path,
        code: problem.code.clone(),
        message: problem.message.clone(),
        plugin: plugin.to_owned(),
    }
}

/// What was rejected and what was unusual, by kind, the most frequent first.
fn problems(markets: &[v1::ImportedMarket], warnings: &[v1::Finding]) -> Vec<v1::ImportProblems> {
    use v1::imported_market::Outcome;
    let mut kinds: BTreeMap<(Severity, &str), (usize, Vec<String>)> = BTreeMap::new();
    let rejected = markets.iter().filter(|it| it.outcome == i32::from(Outcome::Rejected));
    let rejected = rejected.map(|it| {
        // What has no symbol is told by its message alone.
        let name = Some(format!("{}/{}: ", it.segment, it.venue_symbol)).filter(|_| !it.venue_symbol.is_empty());
        ((Severity::Error, it.code.as_str()), format!("{}{}", name.unwrap_or_default(), it.message))
    });
    let warnings =
        warnings.iter().map(|it| ((Severity::Warning, it.code.as_str()), format!("{}: {}", it.path, it.message)));
    for (kind, example) in rejected.chain(warnings) {
        let (count, examples) = kinds.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(shortened(example));
        }
    }
    let mut problems: Vec<v1::ImportProblems> = kinds
        .into_iter()
        .map(|((severity, code), (count, examples))| v1::ImportProblems {
            code: code.to_owned(),
            severity: severity.into(),
            count: number(count),
            examples,
        })
        .collect();
    problems.sort_by_key(|it| std::cmp::Reverse((it.severity == i32::from(Severity::Error), it.count)));
    let others = problems.split_off(problems.len().min(MAX_KINDS));
    if let Some(first) = others.first() {
        let count = others.iter().fold(0_i32, |count, it| count.saturating_add(it.count));
        let examples = others.iter().filter_map(|it| it.examples.first().cloned()).take(EXAMPLES).collect();
        let severity = first.severity;
        problems.push(v1::ImportProblems { code: OTHER_KINDS.to_owned(), severity, count, examples });
    }
    problems
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(EXAMPLE_LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn changed_fields(change: &PlannedChange) -> Vec<String> {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => before.changed_fields(after).into_iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Each field that an update changes, as the contract writes its values.
fn differences(change: &PlannedChange) -> Vec<v1::FieldDifference> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return Vec::new() };
    let [before, after] = [before, after].map(|it| serde_json::from_str(&document(it)).unwrap_or_default());
    let (before, after): (Map<String, Value>, Map<String, Value>) = (before, after);
    let text = |value: Option<&Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = fields.into_iter().filter(|field| before.get(*field) != after.get(*field));
    let differ = differ.filter(|field| !OF_THE_COMMIT.contains(&field.as_str()));
    let differences = differ.map(|field| v1::FieldDifference {
        field: field.clone(),
        before: text(before.get(field)),
        after: text(after.get(field)),
    });
    differences.collect()
}

fn imported(segment: &Segment, symbol: &str, outcome: v1::imported_market::Outcome) -> v1::ImportedMarket {
    v1::ImportedMarket {
        segment: segment.to_string(),
        venue_symbol: symbol.to_owned(),
        outcome: outcome.into(),
        ..Default::default()
    }
}

fn rejected(segment: Option<&Segment>, symbol: &str, why: &Rejection) -> v1::ImportedMarket {
    v1::ImportedMarket {
        code: why.code.clone(),
        message: why.message.clone(),
        candidate_asset_ids: why.candidates.clone(),
        market_id: why.market.map(id).unwrap_or_default(),
        ..imported(segment.unwrap_or(&Segment::default()), symbol, v1::imported_market::Outcome::Rejected)
    }
}

fn binding(bound: &CodeBinding) -> v1::Binding {
    v1::Binding {
        code: bound.code.clone(),
        asset_id: EntityKey::Asset(bound.asset).id(),
        symbol: bound.symbol.clone(),
        created: bound.created,
        segment: bound.segment.to_string(),
    }
}

fn id(market: MarketId) -> String {
    market.to_string()
}

/// Bounded by the rows of an import.
pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
