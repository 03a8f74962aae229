//! Deployments: their writes, what their list asks for, and what is at a place.

use cqar_proto::v1::{self, chain_address::Chain, deployment_place::Place};
use cqar_registry::{DeploymentQuery, Error, JoinedQuery, PageRequest, RequestPath, filters::DeploymentFilter};

use crate::{
    reads::{batch_result, given_id},
    status::invalid,
    writes::entity_writes,
};

/// What a list asks for.
pub(super) fn listed(request: v1::ListDeploymentsRequest) -> Result<(DeploymentFilter, PageRequest, i64), Error> {
    let v1::ListDeploymentsRequest { page_size: size, page_token: token, min_revision, asset_id, chain_id } = request;
    let filter =
        DeploymentFilter { asset_id: given_id("asset_id", &asset_id)?, chain_id: given_id("chain_id", &chain_id)? };
    Ok((filter, PageRequest { size, token }, min_revision))
}

/// Which place is asked for.
pub(super) fn query(place: Option<Place>, path: RequestPath) -> Result<JoinedQuery, Error> {
    let required = |field: &str, message| invalid(field, "REQUIRED", message);
    let query = match place {
        Some(Place::Caip19(id)) => DeploymentQuery::Caip19(id),
        Some(Place::Caip10(id)) => DeploymentQuery::Caip10(id),
        Some(Place::Address(v1::ChainAddress { chain: Some(Chain::ChainId(chain)), address })) => {
            DeploymentQuery::OfChain { chain, address }
        }
        Some(Place::Address(v1::ChainAddress { chain: Some(Chain::Caip2(caip2)), address })) => {
            DeploymentQuery::OfCaip2 { caip2, address }
        }
        Some(Place::Address(v1::ChainAddress { chain: None, .. })) => {
            return Err(required(&path.field("address.chain_id"), "either chain_id or caip2 must be given"));
        }
        None => return Err(required(&path.query(), "address, caip19 or caip10 must be given")),
    };
    Ok(JoinedQuery::Deployment(query))
}

batch_result!(Deployment in batch_get_deployments_response);
entity_writes! { "AssetService" Deployment in deployment, deployment_id:
    create as "CreateDeployment" in CreateDeploymentRequest => CreateDeploymentResponse,
    update as "UpdateDeployment" in UpdateDeploymentRequest => UpdateDeploymentResponse,
    delete as "DeleteDeployment" in DeleteDeploymentRequest => DeleteDeploymentResponse,
}
