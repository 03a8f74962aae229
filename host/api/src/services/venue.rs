//! `cqar.v1.VenueService`: venues, and the codes by which they know assets.

use cqar_proto::{
    convert,
    encoded::{EncodedAnswer, EncodedBatch},
    server::venue_service_server::VenueService,
    v1::{self, batch_resolve_venue_assets_request::Item},
};
use cqar_registry::{
    JoinedQuery, PageRequest, VenueAssetQuery,
    filters::{VenueAssetFilter, VenueFilter},
};
use tonic::{Request, async_trait};

use super::{Api, Reply};
use crate::{
    memory::{AnswerBudget, received},
    reads::{batch_result, given, given_id, read_segment},
    status::{malformed, status},
    writes::entity_writes,
};

#[async_trait]
impl VenueService for Api {
    async fn create_venue(&self, request: Request<v1::CreateVenueRequest>) -> Reply<v1::CreateVenueResponse> {
        self.write(request).await
    }

    async fn get_venue(&self, request: Request<v1::GetVenueRequest>) -> Reply<v1::Venue> {
        let v1::GetVenueRequest { venue_id, min_revision, at_revision } = received(request)?;
        self.get(&venue_id, min_revision, at_revision).await
    }

    async fn batch_get_venues(&self, request: Request<v1::BatchGetVenuesRequest>) -> Reply<v1::BatchGetVenuesResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetVenuesRequest { venue_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&venue_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetVenuesResponse { results, revision }))
    }

    async fn update_venue(&self, request: Request<v1::UpdateVenueRequest>) -> Reply<v1::UpdateVenueResponse> {
        self.write(request).await
    }

    async fn delete_venue(&self, request: Request<v1::DeleteVenueRequest>) -> Reply<v1::DeleteVenueResponse> {
        self.write(request).await
    }

    async fn undelete_venue(&self, request: Request<v1::UndeleteVenueRequest>) -> Reply<v1::UndeleteVenueResponse> {
        self.write(request).await
    }

    async fn list_venues(&self, request: Request<v1::ListVenuesRequest>) -> Reply<v1::ListVenuesResponse> {
        let v1::ListVenuesRequest { page_size: size, page_token: token, r#type, show_deleted, min_revision, chain_id } =
            received(request)?;
        let venue_type = convert::filter::<v1::VenueType, _>("type", r#type).map_err(malformed)?;
        let chain_id = given_id("chain_id", &chain_id).map_err(status)?;
        let filter = VenueFilter { venue_type, chain_id, show_deleted };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(venues, next_page_token, revision)| v1::ListVenuesResponse {
            venues,
            next_page_token,
            revision,
        }))
    }

    async fn create_venue_asset(
        &self,
        request: Request<v1::CreateVenueAssetRequest>,
    ) -> Reply<v1::CreateVenueAssetResponse> {
        self.write(request).await
    }

    async fn get_venue_asset(&self, request: Request<v1::GetVenueAssetRequest>) -> Reply<v1::VenueAsset> {
        let v1::GetVenueAssetRequest { venue_asset_id, min_revision, at_revision } = received(request)?;
        self.get(&venue_asset_id, min_revision, at_revision).await
    }

    async fn batch_get_venue_assets(
        &self,
        request: Request<v1::BatchGetVenueAssetsRequest>,
    ) -> Reply<v1::BatchGetVenueAssetsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetVenueAssetsRequest { venue_asset_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&venue_asset_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetVenueAssetsResponse { results, revision }))
    }

    async fn update_venue_asset(
        &self,
        request: Request<v1::UpdateVenueAssetRequest>,
    ) -> Reply<v1::UpdateVenueAssetResponse> {
        self.write(request).await
    }

    async fn delete_venue_asset(
        &self,
        request: Request<v1::DeleteVenueAssetRequest>,
    ) -> Reply<v1::DeleteVenueAssetResponse> {
        self.write(request).await
    }

    async fn list_venue_assets(
        &self,
        request: Request<v1::ListVenueAssetsRequest>,
    ) -> Reply<v1::ListVenueAssetsResponse> {
        let v1::ListVenueAssetsRequest {
            page_size: size,
            page_token: token,
            venue_id,
            asset_id,
            min_revision,
            segment,
            code,
        } = received(request)?;
        let filter = VenueAssetFilter {
            venue_id: given_id("venue_id", &venue_id).map_err(status)?,
            asset_id: given_id("asset_id", &asset_id).map_err(status)?,
            segment: read_segment(segment.as_deref()).map_err(status)?,
            code: given("code", code).map_err(status)?,
        };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(venue_assets, next_page_token, revision)| v1::ListVenueAssetsResponse {
            venue_assets,
            next_page_token,
            revision,
        }))
    }

    async fn resolve_venue_asset(&self, request: Request<v1::ResolveVenueAssetRequest>) -> Reply<EncodedAnswer> {
        let v1::ResolveVenueAssetRequest { venue_id, code, segment, network, min_revision, at_revision } =
            received(request)?;
        let item = Item { venue_id, code, segment, network };
        self.join(Ok(query(item)), min_revision, at_revision).await
    }

    async fn batch_resolve_venue_assets(
        &self,
        request: Request<v1::BatchResolveVenueAssetsRequest>,
    ) -> Reply<EncodedBatch> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchResolveVenueAssetsRequest { requests, min_revision, at_revision } = received(request)?;
        self.batch_join(requests.into_iter().map(|it| Ok(query(it))), min_revision, at_revision, budget).await
    }
}

fn query(item: Item) -> JoinedQuery {
    let Item { venue_id: venue, code, segment, network } = item;
    let network = Some(network).filter(|network| !network.is_empty());
    JoinedQuery::VenueAsset(VenueAssetQuery { venue, code, segment, network })
}

batch_result!(Venue in batch_get_venues_response);
entity_writes! { "VenueService" Venue in venue, venue_id:
    create as "CreateVenue" in CreateVenueRequest => CreateVenueResponse,
    update as "UpdateVenue" in UpdateVenueRequest => UpdateVenueResponse,
    delete as "DeleteVenue" in DeleteVenueRequest => DeleteVenueResponse,
    undelete as "UndeleteVenue" in UndeleteVenueRequest => UndeleteVenueResponse,
}

batch_result!(VenueAsset in batch_get_venue_assets_response);
entity_writes! { "VenueService" VenueAsset in venue_asset, venue_asset_id:
    create as "CreateVenueAsset" in CreateVenueAssetRequest => CreateVenueAssetResponse,
    update as "UpdateVenueAsset" in UpdateVenueAssetRequest => UpdateVenueAssetResponse,
    delete as "DeleteVenueAsset" in DeleteVenueAssetRequest => DeleteVenueAssetResponse,
}
