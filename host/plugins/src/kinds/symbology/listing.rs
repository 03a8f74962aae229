//! What a listing holds, in the domain's words.

use cqar_domain::{
    entities::instrument::InstrumentKind, id::Segment, text::VENUE_SYMBOL, time::Timestamp, violation::Violations,
};
use cqar_proto::v1;
use serde_json::{Map, Value};

use super::{
    market::{ListedMarket, RowProblem, bounded, market},
    reading::{Reading, code_length, field, optional, reading},
};
use crate::{
    runtime::bindings::{cqar::plugin::types::Problem, exports::cqar::plugin::listing},
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, clean, cleaned},
};

/// A venue has some dozen segments, quotes and settle assets by which its listings are cut.
const MAX_COVERAGE: usize = 1000;
/// The most further requests of one page: one for each of a venue's symbols.
const MAX_REQUESTS: usize = 20_000;
/// The most codes that a page tells something of, and items that it rejects: several for each of its markets.
const MAX_CODES: usize = 50_000;
const MAX_REJECTED: usize = 50_000;
/// Longer addresses are refused by servers and proxies alike.
const MAX_URL_BYTES: usize = 2048;
/// What a venue says of a code beside its name is a few words.
const MAX_HINTS: usize = 32;
/// Codes are of at most 64 characters; a hint is a name or an address.
const MAX_HINT_BYTES: usize = 1000;

/// One of the venue's own responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it came from.
    pub url: Option<String>,
    /// The part of the venue that it was asked for.
    pub segment: Option<String>,
    /// When it was received.
    pub received_at: Option<Timestamp>,
    /// Its body.
    pub body: Vec<u8>,
}

/// One market of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The index of the source.
    pub source: usize,
    /// As the venue writes it.
    pub symbol: String,
    /// What it means.
    pub reading: Reading,
    /// How it trades.
    pub market: ListedMarket,
    /// The fields that could not be read.
    pub problems: Vec<RowProblem>,
}

/// What a listing says of an asset's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAsset {
    /// The code as the venue writes it.
    pub code: String,
    /// In which part of the venue; none for all of them.
    pub segment: Option<Segment>,
    /// What tells assets of one code apart, by key: `asset_class`, `name`, `contract_address`, `chain` and others.
    pub hints: Vec<(String, String)>,
    /// The fields that could not be read.
    pub problems: Vec<RowProblem>,
}

/// One item of a listing that is no market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedItem {
    /// The index of the source.
    pub source: usize,
    /// The segment, where it is known.
    pub segment: Option<Segment>,
    /// Its symbol, empty if it has none.
    pub symbol: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people.
    pub message: String,
}

/// Sources that name every market that has all of these values, so that an absent one is known to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The indexes of the sources.
    pub sources: Vec<usize>,
    /// The segment.
    pub segment: Segment,
    /// The kind; none for every kind.
    pub kind: Option<InstrumentKind>,
    /// The venue's code of the base; none for every base.
    pub base: Option<String>,
    /// The venue's code of the quote; none for every quote.
    pub quote: Option<String>,
    /// The venue's code of the settle asset; none for every one.
    pub settle: Option<String>,
}

/// What a listing holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What is covered completely.
    pub covered: Vec<Coverage>,
    /// The markets.
    pub markets: Vec<Listed>,
    /// What is said of codes.
    pub assets: Vec<ListedAsset>,
    /// What could not be read.
    pub rejected: Vec<RejectedItem>,
    /// How many rows are no markets.
    pub ignored: u32,
    /// What is needed for the whole.
    pub more: Vec<v1::ListingSource>,
    /// What of it could not be read, beside rows and codes: it is left out.
    pub problems: Vec<RowProblem>,
}

/// A listing. An item that cannot be read is left out, and named; only what speaks of no source is an error.
pub(super) fn page(raw: listing::Page, sources: usize) -> Result<Page, String> {
    let source = |index: u32| match usize::try_from(index) {
        Ok(index) if index < sources => Ok(index),
        _ => Err(format!("an item of source {index} of {sources}")),
    };
    bounded_list("coverages", raw.covered.len(), MAX_COVERAGE)?;
    bounded_list("further requests", raw.more.len(), MAX_REQUESTS)?;
    bounded_list("codes", raw.assets.len(), MAX_CODES)?;
    bounded_list("rejected items", raw.rejected.len(), MAX_REJECTED)?;
    let mut page = Page { ignored: raw.ignored, ..Page::default() };
    for covered in raw.covered {
        if covered.sources.is_empty() {
            return Err("a coverage by no source".into());
        }
        let sources = covered.sources.iter().map(|index| source(*index)).collect::<Result<_, _>>()?;
        // What is not known to be covered is not: its markets stay.
        match coverage(covered, sources) {
            Ok(covered) => page.covered.push(covered),
            Err(why) => page.problems.push(RowProblem::new("covered".to_owned(), "UNREADABLE", &why)),
        }
    }
    for item in raw.rejected {
        page.rejected.push(RejectedItem {
            source: source(item.source)?,
            // One that cannot be read is not known: the symbol counts as named in every one.
            segment: optional("rejected.segment", item.segment.as_deref()).unwrap_or_default(),
            symbol: cleaned(item.symbol.unwrap_or_default(), MAX_MESSAGE_BYTES),
            code: cleaned(item.code, MAX_CODE_BYTES),
            message: cleaned(item.message, MAX_MESSAGE_BYTES),
        });
    }
    for item in raw.markets {
        let (source, symbol) = (source(item.source)?, item.symbol.clone());
        let segment = item.reading.segment.parse().ok();
        match listed(item, source) {
            Ok(listed) => page.markets.push(listed),
            Err(message) => page.rejected.push(RejectedItem {
                source,
                segment,
                symbol: cleaned(symbol, MAX_MESSAGE_BYTES),
                code: "MALFORMED_ROW".into(),
                message: cleaned(message, MAX_MESSAGE_BYTES),
            }),
        }
    }
    for item in raw.assets {
        source(item.source)?;
        let code = clean(&item.code, MAX_CODE_BYTES);
        match asset(item) {
            Ok(asset) => page.assets.push(asset),
            Err(why) => page.problems.push(RowProblem::new(format!("assets.{code}"), "UNREADABLE", &why)),
        }
    }
    for item in raw.more {
        match request(item) {
            Ok(request) => page.more.push(request),
            Err(why) => page.problems.push(RowProblem::new("more".to_owned(), "UNREADABLE", &why)),
        }
    }
    page.problems = bounded(page.problems);
    Ok(page)
}

fn bounded_list(what: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("{count} {what}, and {most} are allowed")) } else { Ok(()) }
}

fn coverage(raw: listing::Coverage, sources: Vec<usize>) -> Result<Coverage, String> {
    for code in [&raw.base, &raw.quote, &raw.settle].into_iter().flatten() {
        code_length("covered", code)?;
    }
    let kind = raw.kind.as_deref().map(|name| {
        InstrumentKind::from_name(name).ok_or_else(|| format!("covered.kind: there is no kind {:?}", clean(name, 64)))
    });
    Ok(Coverage {
        sources,
        segment: field("covered.segment", &raw.segment)?,
        kind: kind.transpose()?,
        base: raw.base,
        quote: raw.quote,
        settle: raw.settle,
    })
}

/// A row's document, which has fewer than twenty fields.
const MAX_DOCUMENT_BYTES: usize = 64 << 10;
/// Of the problems and hints of a row, so many are looked at; fewer are kept.
const MAX_SAID: usize = 256;

/// Refuses a document that would become many times its size before it is understood.
fn document_length(field: &str, document: &str) -> Result<(), String> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(format!("{field}: a document of {} bytes, and {MAX_DOCUMENT_BYTES} are allowed", document.len()));
    }
    Ok(())
}

fn listed(raw: listing::Listed, source: usize) -> Result<Listed, String> {
    let mut found = Violations::default();
    VENUE_SYMBOL.check("symbol", &raw.symbol, &mut found);
    if let Some(wrong) = found.into_result().err().and_then(|found| found.into_iter().next()) {
        return Err(wrong.to_string());
    }
    document_length("market", &raw.market)?;
    let mut problems: Vec<RowProblem> = raw.problems.into_iter().take(MAX_SAID).map(problem).collect();
    let reading = reading(raw.reading)?;
    let market = market(&raw.market, &mut problems)?;
    Ok(Listed { source, symbol: raw.symbol, reading, market, problems: bounded(problems) })
}

fn problem(raw: Problem) -> RowProblem {
    RowProblem::new(raw.path, &raw.code, &raw.message)
}

fn asset(raw: listing::ListedAsset) -> Result<ListedAsset, String> {
    code_length("code", &raw.code)?;
    let mut problems = Vec::new();
    let segment = optional("assets.segment", raw.segment.as_deref())?;
    let mut hints = Vec::new();
    for hint in raw.hints.into_iter().take(MAX_SAID) {
        if hint.key.len() > MAX_CODE_BYTES || hint.value.len() > MAX_HINT_BYTES || hints.len() == MAX_HINTS {
            let message = format!("at most {MAX_HINTS} hints, of {MAX_CODE_BYTES} and {MAX_HINT_BYTES} bytes");
            problems.push(RowProblem::new(format!("hints.{}", clean(&hint.key, MAX_CODE_BYTES)), "TOO_LONG", &message));
        } else {
            hints.push((hint.key, hint.value));
        }
    }
    if let Some(document) = &raw.venue_asset {
        document_length("venue-asset", document)?;
        let fields: Map<String, Value> = serde_json::from_str(document)
            .map_err(|error| format!("venue-asset of {:?}: {error}", clean(&raw.code, 64)))?;
        // All that the registry has of a venue asset so far is what it derives.
        let unknown = fields.keys().map(|name| {
            let message = "is not known to this server, or not the listing's to say, and was passed over";
            RowProblem::new(format!("venue_asset.{name}"), "UNKNOWN_FIELD", message)
        });
        problems.extend(unknown);
    }
    Ok(ListedAsset { code: raw.code, segment, hints, problems: bounded(problems) })
}

fn request(raw: listing::Request) -> Result<v1::ListingSource, String> {
    listing_url(&raw.url).map_err(|why| format!("more.url: {why}"))?;
    let segment: Option<Segment> = optional("more.segment", raw.segment.as_deref())?;
    Ok(v1::ListingSource { url: raw.url, segment: segment.map(|it| it.to_string()).unwrap_or_default() })
}

/// Refuses what is no public address.
pub(crate) fn listing_url(url: &str) -> Result<(), String> {
    let is_public = url.starts_with("https://") || url.starts_with("http://");
    if url.len() > MAX_URL_BYTES || !is_public || url.chars().any(char::is_control) {
        return Err(format!(
            "{:?} must be an address of http or https, of at most {MAX_URL_BYTES} bytes",
            clean(url, 200)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kinds::symbology::reading::tests::raw as raw_reading,
        runtime::bindings::{cqar::plugin::types::FieldResult, exports::cqar::plugin::symbology::ReadingResult},
    };

    fn row(symbol: &str, reading: ReadingResult, market: &str) -> listing::Listed {
        listing::Listed { source: 0, symbol: symbol.into(), reading, market: market.into(), problems: Vec::new() }
    }

    fn nothing() -> listing::Page {
        listing::Page {
            covered: Vec::new(),
            markets: Vec::new(),
            assets: Vec::new(),
            rejected: Vec::new(),
            ignored: 0,
            more: Vec::new(),
        }
    }

    fn whole(segment: &str, sources: Vec<u32>) -> listing::Coverage {
        let segment = segment.into();
        listing::Coverage { sources, segment, kind: None, base: None, quote: None, settle: None }
    }

    #[test]
    fn a_malformed_row_is_rejected_alone_and_a_malformed_field_costs_itself() {
        let good = r#"{"status": "MARKET_STATUS_ACTIVE", "tick_size": "0.10"}"#;
        let odd = r#"{"status": "MARKET_STATUS_ACTIVE", "tick_size": "ten"}"#;
        let kindless = ReadingResult { kind: "swap".into(), ..raw_reading() };
        let markets = vec![row("A", raw_reading(), good), row("B", raw_reading(), odd), row("C", kindless, good)];
        let page = page(listing::Page { markets, ignored: 3, ..nothing() }, 1).unwrap();
        assert_eq!((page.markets.len(), page.ignored), (2, 3));
        assert_eq!(page.markets[1].problems[0].path, "market.tick_size");
        assert_eq!((page.rejected[0].symbol.as_str(), page.rejected[0].code.as_str()), ("C", "MALFORMED_ROW"));
    }

    #[test]
    fn an_item_that_cannot_be_read_is_left_out_and_named() {
        let rejected = listing::Rejected {
            source: 0,
            segment: Some("SPOT".into()),
            symbol: None,
            code: "X".into(),
            message: String::new(),
        };
        let strange = listing::ListedAsset {
            source: 0,
            code: "A".into(),
            segment: Some("SPOT".into()),
            hints: Vec::new(),
            venue_asset: None,
        };
        let document = listing::ListedAsset { segment: None, venue_asset: Some("[]".into()), ..strange.clone() };
        let swap = listing::Coverage { kind: Some("swap".into()), ..whole("usdm", vec![0]) };
        let raw = listing::Page {
            covered: vec![whole("USDM", vec![0]), swap, whole("usdm", vec![0])],
            rejected: vec![rejected],
            assets: vec![strange, document],
            more: vec![listing::Request { url: "file:///etc/passwd".into(), segment: None }],
            markets: vec![row(&"x".repeat(1000), raw_reading(), "{}")],
            ..nothing()
        };
        let page = page(raw, 1).unwrap();
        assert_eq!((page.covered.len(), page.assets.len(), page.more.len()), (1, 0, 0));
        assert_eq!((page.rejected[0].segment.as_ref(), page.rejected[1].code.as_str()), (None, "MALFORMED_ROW"));
        assert_eq!(page.rejected[1].segment.as_ref().map(Segment::as_str), Some(raw_reading().segment.as_str()));
        let paths: Vec<_> = page.problems.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["covered", "covered", "assets.A", "assets.A", "more"]);
    }

    #[test]
    fn what_speaks_of_sources_that_were_not_given_is_no_answer() {
        let rejected =
            listing::Rejected { source: 1, segment: None, symbol: None, code: "X".into(), message: String::new() };
        let strange = [
            listing::Page { rejected: vec![rejected], ..nothing() },
            listing::Page { covered: vec![whole("usdm", vec![0, 1])], ..nothing() },
            listing::Page { covered: vec![whole("usdm", vec![])], ..nothing() },
            listing::Page { covered: vec![whole("usdm", vec![0]); MAX_COVERAGE + 1], ..nothing() },
            listing::Page {
                markets: vec![listing::Listed { source: 1, ..row("A", raw_reading(), "{}") }],
                ..nothing()
            },
        ];
        for raw in strange {
            assert!(page(raw, 1).is_err());
        }
        assert!(page(listing::Page { covered: vec![whole("usdm", vec![0])], ..nothing() }, 1).is_ok());
    }

    #[test]
    fn a_further_request_goes_to_a_public_address() {
        let asked = |url: &str| {
            let more = vec![listing::Request { url: url.into(), segment: None }];
            page(listing::Page { more, ..nothing() }, 1)
        };
        assert_eq!(asked("https://api.example.com/markets?page=2").unwrap().more.len(), 1);
        for url in ["", "file:///etc/passwd", "/markets", &format!("https://x/{}", "x".repeat(2048))] {
            let page = asked(url).unwrap();
            assert_eq!((page.more.len(), page.problems.len()), (0, 1), "{url:.40}");
        }
    }

    #[test]
    fn a_venue_asset_loses_the_fields_that_are_not_known() {
        let hint = |key: &str| FieldResult { key: key.into(), value: "equity".into() };
        let item = listing::ListedAsset {
            source: 0,
            code: "META".into(),
            segment: Some("usdm".into()),
            hints: vec![hint("asset_class"), hint(&"x".repeat(65))],
            venue_asset: Some(r#"{"networks": []}"#.into()),
        };
        let page = page(listing::Page { assets: vec![item], ..nothing() }, 1).unwrap();
        assert_eq!(page.assets[0].hints, [("asset_class".to_owned(), "equity".to_owned())]);
        let codes: Vec<_> = page.assets[0].problems.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, ["TOO_LONG", "UNKNOWN_FIELD"]);
    }
}
