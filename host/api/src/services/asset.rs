//! `cqar.v1.AssetService`

use cqar_proto::{convert, server::asset_service_server::AssetService, v1};
use cqar_registry::{PageRequest, filters::AssetFilter};
use tonic::{Request, async_trait};

use super::{Api, Reply};
use crate::{
    memory::{AnswerBudget, received},
    reads::{batch_result, given},
    status::{malformed, status},
    writes::entity_writes,
};

#[async_trait]
impl AssetService for Api {
    async fn create_asset(&self, request: Request<v1::CreateAssetRequest>) -> Reply<v1::CreateAssetResponse> {
        self.write(request).await
    }

    async fn get_asset(&self, request: Request<v1::GetAssetRequest>) -> Reply<v1::Asset> {
        let v1::GetAssetRequest { asset_id, min_revision, at_revision } = received(request)?;
        self.get(&asset_id, min_revision, at_revision).await
    }

    async fn batch_get_assets(&self, request: Request<v1::BatchGetAssetsRequest>) -> Reply<v1::BatchGetAssetsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetAssetsRequest { asset_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&asset_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetAssetsResponse { results, revision }))
    }

    async fn update_asset(&self, request: Request<v1::UpdateAssetRequest>) -> Reply<v1::UpdateAssetResponse> {
        self.write(request).await
    }

    async fn delete_asset(&self, request: Request<v1::DeleteAssetRequest>) -> Reply<v1::DeleteAssetResponse> {
        self.write(request).await
    }

    async fn undelete_asset(&self, request: Request<v1::UndeleteAssetRequest>) -> Reply<v1::UndeleteAssetResponse> {
        self.write(request).await
    }

    async fn list_assets(&self, request: Request<v1::ListAssetsRequest>) -> Reply<v1::ListAssetsResponse> {
        let v1::ListAssetsRequest { page_size: size, page_token: token, symbol, r#type, show_deleted, min_revision } =
            received(request)?;
        let filter = AssetFilter {
            symbol: given("symbol", symbol).map_err(status)?,
            asset_type: convert::filter::<v1::AssetType, _>("type", r#type).map_err(malformed)?,
            show_deleted,
        };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(assets, next_page_token, revision)| v1::ListAssetsResponse {
            assets,
            next_page_token,
            revision,
        }))
    }
}

batch_result!(Asset in batch_get_assets_response);
entity_writes! { "AssetService" Asset in asset, asset_id:
    create as "CreateAsset" in CreateAssetRequest => CreateAssetResponse,
    update as "UpdateAsset" in UpdateAssetRequest => UpdateAssetResponse,
    delete as "DeleteAsset" in DeleteAssetRequest => DeleteAssetResponse,
    undelete as "UndeleteAsset" in UndeleteAssetRequest => UndeleteAssetResponse,
}
