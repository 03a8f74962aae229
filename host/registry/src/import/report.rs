//! What an import answers: its rows in bounded messages, and its summary. It is kept for repetitions of the request.

use cqar_proto::v1::{self, import_listing_response::Step};
use prost::Message;

/// The most bytes of one message of rows: far below what any client receives, so that none has to raise its limit.
const MAX_ROWS_BYTES: usize = 256 << 10;

/// What an import did.
#[derive(Clone, PartialEq, Message)]
pub struct ImportReport {
    /// The whole of it.
    #[prost(message, optional, tag = "1")]
    pub summary: Option<v1::ImportSummary>,
    /// Its rows.
    #[prost(message, repeated, tag = "2")]
    pub rows: Vec<v1::ImportRows>,
}

impl ImportReport {
    /// Cuts the rows into messages.
    pub(super) fn new(summary: v1::ImportSummary, all: v1::ImportRows) -> Self {
        let mut rows = RowsBuilder::default();
        for market in all.markets {
            rows.make_room_for(&market).markets.push(market);
        }
        for binding in all.bindings {
            rows.make_room_for(&binding).bindings.push(binding);
        }
        for warning in all.warnings {
            rows.make_room_for(&warning).warnings.push(warning);
        }
        for source in all.more {
            rows.make_room_for(&source).more.push(source);
        }
        Self { summary: Some(summary), rows: rows.finish() }
    }

    /// The messages of the answer, in their order.
    pub fn into_steps(self) -> impl Iterator<Item = Step> {
        self.rows.into_iter().map(Step::Rows).chain(self.summary.map(Step::Summary))
    }
}

/// Messages of rows, and the one that still has room.
#[derive(Default)]
struct RowsBuilder {
    full: Vec<v1::ImportRows>,
    current: v1::ImportRows,
    current_bytes: usize,
}

impl RowsBuilder {
    fn make_room_for(&mut self, row: &impl Message) -> &mut v1::ImportRows {
        // With its tag and its length.
        let bytes = row.encoded_len() + 6;
        if self.current_bytes + bytes > MAX_ROWS_BYTES {
            self.full.push(std::mem::take(&mut self.current));
            self.current_bytes = 0;
        }
        self.current_bytes += bytes;
        &mut self.current
    }

    fn finish(mut self) -> Vec<v1::ImportRows> {
        if self.current_bytes > 0 {
            self.full.push(self.current);
        }
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_bounded_messages_and_none_is_lost() {
        let market = |n: usize| v1::ImportedMarket { venue_symbol: format!("S{n}"), ..Default::default() };
        let warning = v1::Finding { message: "x".repeat(1000), ..Default::default() };
        let markets: Vec<_> = (0..20_000).map(market).collect();
        let more = vec![v1::ListingSource { url: "https://api.example.com".into(), ..Default::default() }; 500];
        let rows = v1::ImportRows { markets, bindings: Vec::new(), warnings: vec![warning; 1000], more };
        let report = ImportReport::new(v1::ImportSummary::default(), rows);
        assert!(report.rows.len() > 4);
        assert!(report.rows.iter().all(|rows| rows.encoded_len() <= MAX_ROWS_BYTES));
        let count = |of: fn(&v1::ImportRows) -> usize| report.rows.iter().map(of).sum::<usize>();
        assert_eq!((count(|it| it.markets.len()), count(|it| it.warnings.len())), (20_000, 1000));
        assert_eq!(count(|it| it.more.len()), 500);
        assert!(matches!(report.into_steps().last(), Some(Step::Summary(_))));
    }
}
