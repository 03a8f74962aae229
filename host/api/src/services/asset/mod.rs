//! `cqar.v1.AssetService`: assets here, and a file for each other entity that it speaks of.

mod deployment;
mod group;
mod relationship;

use cqar_proto::{
    convert,
    encoded::{EncodedAnswer, EncodedBatch},
    server::asset_service_server::AssetService,
    v1,
};
use cqar_registry::{DeploymentQuery, PageRequest, RequestPath, filters::AssetFilter};
use tonic::{Request, async_trait};

use super::{Api, Reply, answered};
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
        let v1::ListAssetsRequest {
            page_size: size,
            page_token: token,
            symbol,
            r#type,
            show_deleted,
            min_revision,
            name,
            category,
            label,
        } = received(request)?;
        let label = given("label", label).map_err(status)?.map(|label| match label.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (label, None),
        });
        let filter = AssetFilter {
            symbol: given("symbol", symbol).map_err(status)?,
            name: given("name", name).map_err(status)?,
            category: given("category", category).map_err(status)?,
            label,
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

    async fn create_deployment(
        &self,
        request: Request<v1::CreateDeploymentRequest>,
    ) -> Reply<v1::CreateDeploymentResponse> {
        self.write(request).await
    }

    async fn get_deployment(&self, request: Request<v1::GetDeploymentRequest>) -> Reply<v1::Deployment> {
        let v1::GetDeploymentRequest { deployment_id, min_revision, at_revision } = received(request)?;
        self.get(&deployment_id, min_revision, at_revision).await
    }

    async fn batch_get_deployments(
        &self,
        request: Request<v1::BatchGetDeploymentsRequest>,
    ) -> Reply<v1::BatchGetDeploymentsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetDeploymentsRequest { deployment_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&deployment_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetDeploymentsResponse { results, revision }))
    }

    async fn update_deployment(
        &self,
        request: Request<v1::UpdateDeploymentRequest>,
    ) -> Reply<v1::UpdateDeploymentResponse> {
        self.write(request).await
    }

    async fn delete_deployment(
        &self,
        request: Request<v1::DeleteDeploymentRequest>,
    ) -> Reply<v1::DeleteDeploymentResponse> {
        self.write(request).await
    }

    async fn list_deployments(
        &self,
        request: Request<v1::ListDeploymentsRequest>,
    ) -> Reply<v1::ListDeploymentsResponse> {
        let (filter, page, min_revision) = deployment::listed(received(request)?).map_err(status)?;
        let listed = self.list(filter, page, min_revision).await?;
        Ok(listed.map(|(deployments, next_page_token, revision)| v1::ListDeploymentsResponse {
            deployments,
            next_page_token,
            revision,
        }))
    }

    async fn resolve_deployment(&self, request: Request<v1::ResolveDeploymentRequest>) -> Reply<EncodedAnswer> {
        let v1::ResolveDeploymentRequest { place, min_revision, at_revision } = received(request)?;
        self.join(deployment::query(place.and_then(|it| it.place), DeploymentQuery::ALONE), min_revision, at_revision)
            .await
    }

    async fn batch_resolve_deployments(
        &self,
        request: Request<v1::BatchResolveDeploymentsRequest>,
    ) -> Reply<EncodedBatch> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchResolveDeploymentsRequest { requests, min_revision, at_revision } = received(request)?;
        let queries =
            requests.into_iter().enumerate().map(|(n, it)| deployment::query(it.place, RequestPath::InBatch(n)));
        self.batch_join(queries, min_revision, at_revision, budget).await
    }

    async fn create_relationship(
        &self,
        request: Request<v1::CreateRelationshipRequest>,
    ) -> Reply<v1::CreateRelationshipResponse> {
        self.write(request).await
    }

    async fn get_relationship(&self, request: Request<v1::GetRelationshipRequest>) -> Reply<v1::Relationship> {
        let v1::GetRelationshipRequest { relationship_id, min_revision, at_revision } = received(request)?;
        self.get(&relationship_id, min_revision, at_revision).await
    }

    async fn batch_get_relationships(
        &self,
        request: Request<v1::BatchGetRelationshipsRequest>,
    ) -> Reply<v1::BatchGetRelationshipsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetRelationshipsRequest { relationship_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&relationship_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetRelationshipsResponse { results, revision }))
    }

    async fn update_relationship(
        &self,
        request: Request<v1::UpdateRelationshipRequest>,
    ) -> Reply<v1::UpdateRelationshipResponse> {
        self.write(request).await
    }

    async fn delete_relationship(
        &self,
        request: Request<v1::DeleteRelationshipRequest>,
    ) -> Reply<v1::DeleteRelationshipResponse> {
        self.write(request).await
    }

    async fn list_relationships(
        &self,
        request: Request<v1::ListRelationshipsRequest>,
    ) -> Reply<v1::ListRelationshipsResponse> {
        let (filter, page, min_revision) = relationship::listed(received(request)?).map_err(status)?;
        let listed = self.list(filter, page, min_revision).await?;
        Ok(listed.map(|(relationships, next_page_token, revision)| v1::ListRelationshipsResponse {
            relationships,
            next_page_token,
            revision,
        }))
    }

    async fn list_variants(&self, request: Request<v1::ListVariantsRequest>) -> Reply<v1::ListVariantsResponse> {
        let (query, page) = relationship::variants(received(request)?)?;
        Ok(answered(self.registry.list_variants(&query, page).await.map_err(status)?))
    }

    async fn create_group(&self, request: Request<v1::CreateGroupRequest>) -> Reply<v1::CreateGroupResponse> {
        self.write(request).await
    }

    async fn get_group(&self, request: Request<v1::GetGroupRequest>) -> Reply<v1::Group> {
        group::get(self, received(request)?).await
    }

    async fn batch_get_groups(&self, request: Request<v1::BatchGetGroupsRequest>) -> Reply<v1::BatchGetGroupsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetGroupsRequest { group_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&group_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetGroupsResponse { results, revision }))
    }

    async fn update_group(&self, request: Request<v1::UpdateGroupRequest>) -> Reply<v1::UpdateGroupResponse> {
        self.write(request).await
    }

    async fn delete_group(&self, request: Request<v1::DeleteGroupRequest>) -> Reply<v1::DeleteGroupResponse> {
        self.write(request).await
    }

    async fn list_groups(&self, request: Request<v1::ListGroupsRequest>) -> Reply<v1::ListGroupsResponse> {
        let (filter, page, min_revision) = group::listed(received(request)?).map_err(status)?;
        let listed = self.list(filter, page, min_revision).await?;
        Ok(listed.map(|(groups, next_page_token, revision)| v1::ListGroupsResponse {
            groups,
            next_page_token,
            revision,
        }))
    }

    async fn change_group_members(
        &self,
        request: Request<v1::ChangeGroupMembersRequest>,
    ) -> Reply<v1::ChangeGroupMembersResponse> {
        self.write(request).await
    }
}

batch_result!(Asset in batch_get_assets_response);
entity_writes! { "AssetService" Asset in asset, asset_id:
    create as "CreateAsset" in CreateAssetRequest => CreateAssetResponse,
    update as "UpdateAsset" in UpdateAssetRequest => UpdateAssetResponse,
    delete as "DeleteAsset" in DeleteAssetRequest => DeleteAssetResponse,
    undelete as "UndeleteAsset" in UndeleteAssetRequest => UndeleteAssetResponse,
}
