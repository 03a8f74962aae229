//! `cqar.v1.MarketService`

use std::collections::BTreeSet;

use cqar_domain::{
    id::VenueId,
    time::Timestamp,
    violation::{Violation, Violations},
};
use cqar_proto::{
    convert,
    encoded::{BatchResult, EncodedAnswer, EncodedBatch, FindMarketsResponse},
    rpc,
    server::market_service_server::MarketService,
    v1::{
        self, batch_format_symbols_request::item::Key as FormatItemKey,
        batch_format_symbols_response::result::Result as Formatted, find_markets_request::Key as FindKey,
        format_symbol_request::Key as FormatKey,
    },
    well_known,
};
use cqar_registry::{
    Error, FindQuery, FormatQuery, FoundMarkets, InstrumentSelector, LookupOptions, PageRequest, ResolveQuery,
    Revisioned, filters::MarketFilter,
};
use tonic::{Request, Status, async_trait};
use tracing::Span;

use super::{Api, Reply, answered};
use crate::{
    memory::{AnswerBudget, received},
    reads::{batch_result, check_batch, given, given_id, read_revision, read_segment},
    status::{malformed, status},
    writes::entity_writes,
};

/// So many symbols are resolved before the bytes of their answers are counted, each of which has three assets.
const RESOLVED_AT_ONCE: usize = 512;

#[async_trait]
impl MarketService for Api {
    async fn create_market(&self, request: Request<v1::CreateMarketRequest>) -> Reply<v1::CreateMarketResponse> {
        self.write(request).await
    }

    async fn get_market(&self, request: Request<v1::GetMarketRequest>) -> Reply<v1::Market> {
        let v1::GetMarketRequest { market_id, min_revision, at_revision } = received(request)?;
        self.get(&market_id, min_revision, at_revision).await
    }

    async fn batch_get_markets(
        &self,
        request: Request<v1::BatchGetMarketsRequest>,
    ) -> Reply<v1::BatchGetMarketsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetMarketsRequest { market_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&market_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetMarketsResponse { results, revision }))
    }

    async fn update_market(&self, request: Request<v1::UpdateMarketRequest>) -> Reply<v1::UpdateMarketResponse> {
        self.write(request).await
    }

    async fn delete_market(&self, request: Request<v1::DeleteMarketRequest>) -> Reply<v1::DeleteMarketResponse> {
        self.write(request).await
    }

    async fn list_markets(&self, request: Request<v1::ListMarketsRequest>) -> Reply<v1::ListMarketsResponse> {
        let v1::ListMarketsRequest {
            page_size: size,
            page_token: token,
            venue_id,
            segment,
            instrument_id,
            status: market_status,
            venue_symbol,
            live_at,
            min_revision,
        } = received(request)?;
        let filter = MarketFilter {
            venue_id: given_id("venue_id", &venue_id).map_err(status)?,
            segment: read_segment(segment.as_deref()).map_err(status)?,
            instrument_id: given_id("instrument_id", &instrument_id).map_err(status)?,
            status: convert::filter::<v1::MarketStatus, _>("status", market_status).map_err(malformed)?,
            venue_symbol: given("venue_symbol", venue_symbol).map_err(status)?,
            live_at: convert::time("live_at", live_at).map_err(malformed)?,
        };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(markets, next_page_token, revision)| v1::ListMarketsResponse {
            markets,
            next_page_token,
            revision,
        }))
    }

    async fn delist_market(&self, request: Request<v1::DelistMarketRequest>) -> Reply<v1::DelistMarketResponse> {
        self.write(request).await
    }

    async fn resolve_market(&self, request: Request<v1::ResolveMarketRequest>) -> Reply<EncodedAnswer> {
        let request = received(request)?;
        Span::current()
            .record("venue_id", request.venue_id.as_str())
            .record("venue_symbol", request.venue_symbol.as_str());
        let options = lookup_options(request.min_revision, request.at_revision, request.allow_inferred)?;
        let query = ResolveQuery {
            venue: &request.venue_id,
            symbol: &request.venue_symbol,
            segment: request.segment.as_deref(),
            as_of: convert::time("as_of", request.as_of).map_err(malformed)?,
        };
        let Revisioned { revision, value } = self.registry.resolve(&query, options).await.map_err(status)?;
        Ok(answered(Revisioned { revision, value: EncodedAnswer { resolved: value, revision } }))
    }

    async fn batch_resolve_markets(&self, request: Request<v1::BatchResolveMarketsRequest>) -> Reply<EncodedBatch> {
        let mut budget = AnswerBudget::of(&request);
        let v1::BatchResolveMarketsRequest { requests, min_revision, at_revision, allow_inferred } = received(request)?;
        Span::current().record("items", requests.len());
        check_batch("requests", requests.len()).map_err(status)?;
        let options = lookup_options(min_revision, at_revision, allow_inferred)?;
        let times = requests.iter().enumerate().map(|(n, item)| item_time(n, item.as_of));
        let times: Vec<Result<Option<Timestamp>, Error>> = times.collect();
        // A malformed one keeps its place, so that the registry's errors name the right item; its answer is not used.
        let queries: Vec<ResolveQuery<'_>> = requests
            .iter()
            .zip(&times)
            .map(|(item, as_of)| ResolveQuery {
                venue: &item.venue_id,
                symbol: &item.venue_symbol,
                segment: item.segment.as_deref(),
                as_of: as_of.as_ref().ok().copied().flatten(),
            })
            .collect();
        let mut results = Vec::with_capacity(queries.len());
        let mut times = times.into_iter();
        // Taken before anything is looked up, and all of it is as of that at least.
        let mut revision = None;
        for queries in queries.chunks(RESOLVED_AT_ONCE) {
            if let (Some(refused), Some(_)) = (budget.refused(), revision) {
                // What has no room in the answer is not looked up.
                let refused = rpc::Status::from(refused);
                results.extend(times.by_ref().take(queries.len()).map(|_| BatchResult::Error(refused.clone())));
                continue;
            }
            let options = LookupOptions { min_revision: revision.unwrap_or(options.min_revision), ..options };
            let resolved = self.registry.batch_resolve(results.len(), queries, options).await.map_err(status)?;
            revision.get_or_insert(resolved.revision);
            results.extend(resolved.value.into_iter().zip(times.by_ref()).map(|(resolved, time)| {
                let resolved = time.and(resolved).map_err(status);
                match resolved.and_then(|bytes| budget.admit(bytes.len()).map(|()| bytes)) {
                    Ok(bytes) => BatchResult::Resolved(bytes),
                    Err(refused) => BatchResult::Error(rpc::Status::from(&refused)),
                }
            }));
        }
        let revision = match revision {
            Some(revision) => revision,
            None => self.registry.batch_resolve(0, &[], options).await.map_err(status)?.revision,
        };
        Ok(answered(Revisioned { revision, value: EncodedBatch { results, revision } }))
    }

    async fn format_symbol(&self, request: Request<v1::FormatSymbolRequest>) -> Reply<v1::FormatSymbolResponse> {
        let v1::FormatSymbolRequest { key, venue_id, segment, as_of, min_revision, at_revision, allow_inferred } =
            received(request)?;
        let options = lookup_options(min_revision, at_revision, allow_inferred)?;
        let key = key.map(|key| match key {
            FormatKey::InstrumentId(id) => InstrumentKey::Id(id),
            FormatKey::Code(code) => InstrumentKey::Code(code),
        });
        let query = format_query(key, &venue_id, segment.as_deref(), as_of).map_err(malformed)?;
        let Revisioned { revision, value } = self.registry.format_symbol(query, options).await.map_err(status)?;
        Ok(answered(Revisioned { revision, value: v1::FormatSymbolResponse { revision, ..value } }))
    }

    async fn batch_format_symbols(
        &self,
        request: Request<v1::BatchFormatSymbolsRequest>,
    ) -> Reply<v1::BatchFormatSymbolsResponse> {
        let v1::BatchFormatSymbolsRequest { requests, min_revision, at_revision, allow_inferred } = received(request)?;
        Span::current().record("items", requests.len());
        check_batch("requests", requests.len()).map_err(status)?;
        let options = lookup_options(min_revision, at_revision, allow_inferred)?;
        let query = |(n, item): (usize, v1::batch_format_symbols_request::Item)| {
            let key = item.key.map(|key| match key {
                FormatItemKey::InstrumentId(id) => InstrumentKey::Id(id),
                FormatItemKey::Code(code) => InstrumentKey::Code(code),
            });
            let read = format_query(key, &item.venue_id, item.segment.as_deref(), item.as_of);
            read.map_err(|found| Error::Invalid(in_item(n, found)))
        };
        let queries: Vec<Result<FormatQuery, Error>> = requests.into_iter().enumerate().map(query).collect();
        let Revisioned { revision, value } = self.registry.batch_format(&queries, options).await.map_err(status)?;
        let result = |formatted: Result<v1::FormatSymbolResponse, Error>| v1::batch_format_symbols_response::Result {
            result: Some(match formatted {
                Ok(formatted) => Formatted::Formatted(formatted),
                Err(error) => Formatted::Error(rpc::Status::from(&status(error))),
            }),
        };
        let results = value.into_iter().map(result).collect();
        Ok(answered(Revisioned { revision, value: v1::BatchFormatSymbolsResponse { results, revision } }))
    }

    async fn find_markets(&self, request: Request<v1::FindMarketsRequest>) -> Reply<FindMarketsResponse> {
        let v1::FindMarketsRequest { key, venue_ids, as_of, min_revision, at_revision } = received(request)?;
        let min_revision = read_revision(min_revision, at_revision)?;
        let mut found = Violations::default();
        if venue_ids.len() > MAX_VENUES {
            found.add("venue_ids", "TOO_MANY", format_args!("must be at most {MAX_VENUES}"));
        }
        let key = key.map(|key| match key {
            FindKey::InstrumentId(id) => InstrumentKey::Id(id),
            FindKey::Code(code) => InstrumentKey::Code(code),
        });
        let instrument = selector(key, &mut found);
        let venues = venue_ids.iter().take(MAX_VENUES).enumerate();
        let venues: BTreeSet<VenueId> =
            venues.filter_map(|(n, id)| found.take(&format!("venue_ids[{n}]"), id.parse())).collect();
        let as_of = found.take("as_of", as_of.map(Timestamp::try_from).transpose());
        found.into_result().map_err(malformed)?;
        let (Some(instrument), Some(as_of)) = (instrument, as_of) else { return Err(malformed(Vec::new())) };
        let query = FindQuery { instrument, venues, as_of, min_revision };
        let Revisioned { revision, value } = self.registry.find_markets(query).await.map_err(status)?;
        let FoundMarkets { instrument, markets } = value;
        let instrument_id = instrument.to_string();
        Ok(answered(Revisioned { revision, value: FindMarketsResponse { instrument_id, markets, revision } }))
    }
}

/// The most venues that a search names: far more than there are.
const MAX_VENUES: usize = 1000;

/// How a request names an instrument.
enum InstrumentKey {
    Id(String),
    Code(String),
}

fn lookup_options(min_revision: i64, at_revision: i64, allow_inferred: bool) -> Result<LookupOptions, Status> {
    Ok(LookupOptions { min_revision: read_revision(min_revision, at_revision)?, allow_inferred })
}

fn in_item(n: usize, found: Vec<Violation>) -> Vec<Violation> {
    found.into_iter().map(|violation| violation.under(&format!("requests[{n}]"))).collect()
}

/// The time that an item of a batch asks for.
fn item_time(n: usize, as_of: Option<well_known::Timestamp>) -> Result<Option<Timestamp>, Error> {
    convert::time("as_of", as_of).map_err(|found| Error::Invalid(in_item(n, found)))
}

fn selector(key: Option<InstrumentKey>, found: &mut Violations) -> Option<InstrumentSelector> {
    match key {
        Some(InstrumentKey::Id(id)) => found.take("instrument_id", id.parse()).map(InstrumentSelector::Id),
        Some(InstrumentKey::Code(code)) => Some(InstrumentSelector::Code(code)),
        None => {
            found.add("instrument_id", "REQUIRED", "either instrument_id or code must be given");
            None
        }
    }
}

fn format_query(
    key: Option<InstrumentKey>,
    venue_id: &str,
    segment: Option<&str>,
    as_of: Option<well_known::Timestamp>,
) -> Result<FormatQuery, Vec<Violation>> {
    let mut found = Violations::default();
    let instrument = selector(key, &mut found);
    let venue = found.take("venue_id", venue_id.parse());
    let segment = found.take("segment", segment.map(str::parse).transpose());
    let as_of = found.take("as_of", as_of.map(Timestamp::try_from).transpose());
    let (Some(instrument), Some(venue), Some(segment), Some(as_of)) = (instrument, venue, segment, as_of) else {
        return Err(found.into_vec());
    };
    Ok(FormatQuery { instrument, venue, segment, as_of })
}

batch_result!(Market in batch_get_markets_response);
entity_writes! { "MarketService" Market in market, market_id:
    create as "CreateMarket" in CreateMarketRequest => CreateMarketResponse,
    update as "UpdateMarket" in UpdateMarketRequest => UpdateMarketResponse,
    delete as "DeleteMarket" in DeleteMarketRequest => DeleteMarketResponse,
    delist as "DelistMarket" in DelistMarketRequest => DelistMarketResponse,
}
