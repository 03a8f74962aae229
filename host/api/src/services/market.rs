//! `cqar.v1.MarketService`

use cqar_domain::{
    entity::Revision,
    id::{IdError, Segment, VenueId},
    time::Timestamp,
    violation::Violations,
};
use cqar_proto::{
    convert,
    encoded::{BatchResolveMarketsResponse, BatchResult, ResolveMarketResponse},
    rpc,
    server::market_service_server::MarketService,
    v1::{self, format_symbol_request::Key},
};
use cqar_registry::{
    Error, FormatQuery, InstrumentSelector, PageRequest, ResolveQuery, Revisioned, filters::MarketFilter,
};
use tonic::{Request, async_trait};
use tracing::Span;

use super::{Api, Reply, answered};
use crate::{
    reads::{batch_result, check_batch, given, given_id, revision},
    status::{invalid, malformed, status},
    writes::entity_writes,
};

#[async_trait]
impl MarketService for Api {
    async fn create_market(&self, request: Request<v1::CreateMarketRequest>) -> Reply<v1::CreateMarketResponse> {
        self.write(request).await
    }

    async fn get_market(&self, request: Request<v1::GetMarketRequest>) -> Reply<v1::Market> {
        let v1::GetMarketRequest { id, min_revision } = request.into_inner();
        self.get(&id, min_revision).await
    }

    async fn batch_get_markets(
        &self,
        request: Request<v1::BatchGetMarketsRequest>,
    ) -> Reply<v1::BatchGetMarketsResponse> {
        let v1::BatchGetMarketsRequest { ids, min_revision } = request.into_inner();
        let found = self.batch_get(&ids, min_revision).await?;
        Ok(found.map(|results| v1::BatchGetMarketsResponse { results }))
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
            venue,
            segment,
            instrument,
            status: market_status,
            venue_symbol,
            min_revision,
        } = request.into_inner();
        let filter = MarketFilter {
            venue: given_id("venue", &venue).map_err(status)?,
            segment: read_segment(segment.as_deref()).map_err(status)?,
            instrument: given_id("instrument", &instrument).map_err(status)?,
            status: convert::filter::<v1::MarketStatus, _>("status", market_status).map_err(malformed)?,
            venue_symbol: given("venue_symbol", venue_symbol).map_err(status)?,
        };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(markets, next_page_token)| v1::ListMarketsResponse { markets, next_page_token }))
    }

    async fn delist_market(&self, request: Request<v1::DelistMarketRequest>) -> Reply<v1::DelistMarketResponse> {
        self.write(request).await
    }

    async fn resolve_market(&self, request: Request<v1::ResolveMarketRequest>) -> Reply<ResolveMarketResponse> {
        let request = request.into_inner();
        Span::current().record("venue", request.venue.as_str()).record("venue_symbol", request.venue_symbol.as_str());
        let (as_of, min_revision) = read_state("", &request).map_err(status)?;
        let Revisioned { revision, value } =
            self.registry.resolve(&query(&request, as_of, min_revision)).await.map_err(status)?;
        Ok(answered(Revisioned { revision, value: ResolveMarketResponse(value) }))
    }

    async fn batch_resolve_markets(
        &self,
        request: Request<v1::BatchResolveMarketsRequest>,
    ) -> Reply<BatchResolveMarketsResponse> {
        let requests = request.into_inner().requests;
        Span::current().record("items", requests.len());
        check_batch("requests", requests.len()).map_err(status)?;
        let states = requests.iter().enumerate().map(|(n, request)| read_state(&format!("requests[{n}]"), request));
        let states: Vec<Result<_, Error>> = states.collect();
        // A malformed one keeps its place, so that the registry's errors name the right item; its answer is not used.
        let queries: Vec<ResolveQuery<'_>> = requests
            .iter()
            .zip(&states)
            .map(|(request, state)| {
                let (as_of, min_revision) = state.as_ref().map_or((None, 0), |state| *state);
                query(request, as_of, min_revision)
            })
            .collect();
        let Revisioned { revision, value } = self.registry.batch_resolve(&queries).await.map_err(status)?;
        let results = value.into_iter().zip(states).map(|(resolved, state)| match state.and(resolved) {
            Ok(bytes) => BatchResult::Resolved(bytes),
            Err(error) => BatchResult::Error(rpc::Status::from(&status(error))),
        });
        Ok(answered(Revisioned { revision, value: BatchResolveMarketsResponse { results: results.collect() } }))
    }

    async fn format_symbol(&self, request: Request<v1::FormatSymbolRequest>) -> Reply<v1::FormatSymbolResponse> {
        let query = format_query(request.into_inner()).map_err(status)?;
        Ok(answered(self.registry.format_symbol(query).await.map_err(status)?))
    }
}

/// The time and the revision that a request asks for.
fn read_state(path: &str, request: &v1::ResolveMarketRequest) -> Result<(Option<Timestamp>, Revision), Error> {
    let state =
        || Ok((convert::time("as_of", request.as_of).map_err(Error::Invalid)?, revision(request.min_revision)?));
    state().map_err(|error| match error {
        Error::Invalid(found) => Error::Invalid(found.into_iter().map(|it| it.under(path)).collect()),
        other => other,
    })
}

fn query(request: &v1::ResolveMarketRequest, as_of: Option<Timestamp>, min_revision: Revision) -> ResolveQuery<'_> {
    ResolveQuery {
        venue: &request.venue,
        symbol: &request.venue_symbol,
        segment: request.segment.as_deref(),
        as_of,
        min_revision,
        allow_inferred: request.allow_inferred,
    }
}

fn read_segment(segment: Option<&str>) -> Result<Option<Segment>, Error> {
    // Unlike an id, a segment may be empty: that of the markets that have none.
    let read = segment.map(str::parse).transpose();
    read.map_err(|error: IdError| invalid("segment", "INVALID", error))
}

fn format_query(request: v1::FormatSymbolRequest) -> Result<FormatQuery, Error> {
    let v1::FormatSymbolRequest { key, venue, segment, as_of, min_revision } = request;
    let mut found = Violations::default();
    let key = match key {
        Some(Key::Instrument(id)) => found.take("instrument", id.parse()).map(InstrumentSelector::Instrument),
        Some(Key::Code(code)) => Some(InstrumentSelector::Code(code)),
        None => {
            found.add("instrument", "REQUIRED", "either instrument or code must be given");
            None
        }
    };
    let venue: Option<VenueId> = found.take("venue", venue.parse());
    let segment = found.take("segment", segment.as_deref().map(str::parse).transpose());
    let as_of = found.take("as_of", as_of.map(Timestamp::try_from).transpose());
    let (Some(key), Some(venue), Some(segment), Some(as_of)) = (key, venue, segment, as_of) else {
        return Err(Error::Invalid(found.into_vec()));
    };
    Ok(FormatQuery { key, venue, segment, as_of, min_revision: revision(min_revision)? })
}

batch_result!(Market in batch_get_markets_response);
entity_writes! { "MarketService" Market in market:
    create as "CreateMarket" in CreateMarketRequest => CreateMarketResponse,
    update as "UpdateMarket" in UpdateMarketRequest => UpdateMarketResponse,
    delete as "DeleteMarket" in DeleteMarketRequest => DeleteMarketResponse,
    delist as "DelistMarket" in DelistMarketRequest => DelistMarketResponse,
}
