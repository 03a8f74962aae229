//! The responses of `exchangeInfo`: of `/api/v3` (spot), `/fapi/v1` (USDⓈ-M) and `/dapi/v1` (COIN-M).

use std::collections::BTreeSet;

use cqar_plugin_symbology::{ListedAsset, Page, Rejected, Source, empty_page, plugin::Failure, whole_segment};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{error::Category, value::RawValue};

use crate::{
    entry::{self, Entry},
    segment::Segment,
};

/// The markets of all sources. A source that is no listing is rejected; one that is not even JSON fails the call, since
/// nothing tells what it would have said.
pub fn read(sources: &[Source]) -> Result<Page, Failure> {
    let mut page = empty_page();
    let mut said = BTreeSet::new();
    for (index, source) in (0..).zip(sources) {
        read_source(index, source, &mut said, &mut page)?;
    }
    Ok(page)
}

/// A response, of which only the entries matter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeInfo<'a> {
    futures_type: Option<String>,
    #[serde(borrow)]
    symbols: Option<Vec<&'a RawValue>>,
    /// What Binance sends instead where it refuses to answer.
    msg: Option<String>,
}

/// What tells the segments apart where the response does not say it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Marks {
    contract_size: Option<IgnoredAny>,
    contract_type: Option<IgnoredAny>,
    is_spot_trading_allowed: Option<IgnoredAny>,
}

fn read_source(
    index: u32,
    source: &Source,
    said: &mut BTreeSet<(Segment, String, String)>,
    page: &mut Page,
) -> Result<(), Failure> {
    let reject = |segment: Option<Segment>, symbol: String, code: &str, message: String| Rejected {
        source: index,
        segment: segment.map(|segment| segment.name().to_owned()),
        symbol: Some(symbol).filter(|symbol| !symbol.is_empty()),
        code: code.to_owned(),
        message,
    };
    let info: ExchangeInfo = match serde_json::from_slice(&source.body) {
        Ok(info) => info,
        Err(error) if error.classify() == Category::Data => {
            page.rejected.push(reject(
                None,
                String::new(),
                "NOT_A_LISTING",
                format!("{}: {error}", name(index, source)),
            ));
            return Ok(());
        }
        Err(error) => {
            let message = format!("{} is not JSON: {error}", name(index, source));
            return Err(Failure { code: "MALFORMED_JSON".to_owned(), message, retryable: false });
        }
    };
    let segment = match recognise(&info, source) {
        Ok(segment) => segment,
        Err((code, why)) => {
            page.rejected.push(reject(None, String::new(), code, format!("{}: {why}", name(index, source))));
            return Ok(());
        }
    };
    let mut is_whole = asks_for_all(source);
    for entry in info.symbols.iter().flatten() {
        match entry::read(index, segment, entry.get()) {
            Ok(Entry { listed, base }) => {
                page.assets.extend(base.filter(|base| said.insert((segment, base.code.clone(), class_of(base)))));
                page.markets.push(listed);
            }
            Err(refused) => {
                // An entry without a name may be any market: its absence proves nothing any more.
                is_whole &= !refused.symbol.is_empty();
                page.rejected.push(reject(Some(segment), refused.symbol, refused.code, refused.message));
            }
        }
    }
    if is_whole {
        page.covered.push(whole_segment(index, segment.name()));
    }
    Ok(())
}

fn class_of(base: &ListedAsset) -> String {
    base.hints.iter().map(|hint| hint.value.as_str()).collect()
}

/// The segment that the content is of, which must be the one that was said.
fn recognise(info: &ExchangeInfo, source: &Source) -> Result<Segment, (&'static str, String)> {
    let entries = match &info.symbols {
        Some(entries) if !entries.is_empty() => entries,
        Some(_) => return Err(("EMPTY_LISTING", "it lists no symbol".to_owned())),
        None => {
            let said = info.msg.as_deref().map(|msg| format!("; the venue said: {msg:.200}")).unwrap_or_default();
            return Err(("NOT_A_LISTING", format!("an exchangeInfo of Binance has \"symbols\"{said}")));
        }
    };
    let by_marks =
        || entries.iter().find_map(|entry| segment_of(&serde_json::from_str(entry.get()).unwrap_or_default()));
    let segment = match info.futures_type.as_deref() {
        Some("U_MARGINED") => Some(Segment::Usdm),
        Some("COIN_MARGINED") => Some(Segment::Coinm),
        _ => by_marks(),
    }
    .ok_or_else(|| ("NOT_A_LISTING", "its symbols have no fields of an exchangeInfo of Binance".to_owned()))?;
    match source.segment.as_deref() {
        Some(said) if said != segment.name() => {
            Err(("SEGMENT_MISMATCH", format!("it is of {}, and was said to be of {said:.64}", segment.name())))
        }
        _ => Ok(segment),
    }
}

fn segment_of(marks: &Marks) -> Option<Segment> {
    match marks {
        Marks { contract_size: Some(_), .. } => Some(Segment::Coinm),
        Marks { contract_type: Some(_), .. } => Some(Segment::Usdm),
        Marks { is_spot_trading_allowed: Some(_), .. } => Some(Segment::Spot),
        _ => None,
    }
}

/// Whether it answers a request without a filter: `?symbol=`, `?symbols=`, `?permissions=` and the like leave out.
fn asks_for_all(source: &Source) -> bool {
    source.url.as_deref().is_none_or(|url| url.split_once('?').is_none_or(|(_, query)| query.is_empty()))
}

fn name(index: u32, source: &Source) -> String {
    match &source.url {
        Some(url) => format!("source {index} ({url:.200})"),
        None => format!("source {index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: &str = r#"{"timezone": "UTC", "symbols": [
        {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
         "isSpotTradingAllowed": true, "filters": []},
        {"symbol": "ETHBTC", "status": "BREAK", "baseAsset": "ETH", "quoteAsset": "BTC",
         "isSpotTradingAllowed": true, "filters": []}]}"#;

    fn source(body: &str) -> Source {
        Source { url: None, segment: None, received_at: None, body: body.as_bytes().to_vec() }
    }

    fn rejected(page: &Page) -> Vec<(u32, &str, &str)> {
        page.rejected.iter().map(|r| (r.source, r.symbol.as_deref().unwrap_or_default(), r.code.as_str())).collect()
    }

    #[test]
    fn no_source_is_an_empty_page() {
        let page = read(&[]).unwrap();
        assert!(page == empty_page());
    }

    #[test]
    fn a_whole_listing_is_complete() {
        let page = read(&[source(SPOT)]).unwrap();
        assert_eq!(page.markets.len(), 2);
        assert_eq!(page.covered, [whole_segment(0, "spot")]);
    }

    #[test]
    fn a_filtered_listing_is_not_complete() {
        let url = Some("https://api.binance.com/api/v3/exchangeInfo?symbols=[...]".to_owned());
        let page = read(&[Source { url, ..source(SPOT) }]).unwrap();
        assert_eq!(page.markets.len(), 2);
        assert_eq!(page.covered, []);
    }

    #[test]
    fn an_entry_without_a_name_leaves_the_segment_open() {
        let page = read(&[source(&SPOT.replace(r#""symbol": "ETHBTC""#, r#""symbol": null"#))]).unwrap();
        assert_eq!(rejected(&page), [(0, "", "MALFORMED_ENTRY")]);
        assert_eq!(page.covered, []);
    }

    #[test]
    fn what_is_no_listing_of_binance_is_rejected_by_name() {
        for (body, code) in [
            (r#"{"code": -1003, "msg": "Too many requests."}"#, "NOT_A_LISTING"),
            (r#"[["tBTCUSD", 1, 2]]"#, "NOT_A_LISTING"),
            (r#"{"symbols": [{"symbol": "BTCUSDT"}]}"#, "NOT_A_LISTING"),
            (r#"{"symbols": ["BTCUSDT"]}"#, "NOT_A_LISTING"),
            (r#"{"symbols": {"BTCUSDT": {}}}"#, "NOT_A_LISTING"),
            (r#"{"symbols": []}"#, "EMPTY_LISTING"),
        ] {
            let page = read(&[source(body), source(SPOT)]).unwrap();
            assert_eq!(rejected(&page), [(0, "", code)], "{body}");
            assert_eq!(page.markets.len(), 2, "the other source is read all the same");
        }
    }

    #[test]
    fn a_listing_of_another_segment_than_was_said_is_rejected() {
        let said = |segment: &str| Source { segment: Some(segment.to_owned()), ..source(SPOT) };
        assert_eq!(rejected(&read(&[said("usdm")]).unwrap()), [(0, "", "SEGMENT_MISMATCH")]);
        assert_eq!(read(&[said("spot")]).unwrap().markets.len(), 2);
    }

    #[test]
    fn malformed_json_fails_with_the_source_and_the_place() {
        let url = Some("https://api.binance.com/api/v3/exchangeInfo".to_owned());
        let cut = SPOT.split_at(100).0;
        for body in [cut, "", "<html>", "{\"symbols\": [\u{0}]}"] {
            let failure = read(&[source(SPOT), Source { url: url.clone(), ..source(body) }]).err().unwrap();
            assert_eq!((failure.code.as_str(), failure.retryable), ("MALFORMED_JSON", false));
            assert!(failure.message.starts_with("source 1 (https://api.binance.com"), "{}", failure.message);
            assert!(failure.message.contains("line "), "{}", failure.message);
        }
    }
}
