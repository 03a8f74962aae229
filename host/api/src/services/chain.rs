//! `cqar.v1.ChainService`

use cqar_proto::{convert, server::chain_service_server::ChainService, v1};
use cqar_registry::{PageRequest, filters::ChainFilter};
use tonic::{Request, async_trait};

use super::{Api, Reply};
use crate::{
    memory::{AnswerBudget, received},
    reads::{batch_result, given, given_id},
    status::{malformed, status},
    writes::entity_writes,
};

#[async_trait]
impl ChainService for Api {
    async fn create_chain(&self, request: Request<v1::CreateChainRequest>) -> Reply<v1::CreateChainResponse> {
        self.write(request).await
    }

    async fn get_chain(&self, request: Request<v1::GetChainRequest>) -> Reply<v1::Chain> {
        let v1::GetChainRequest { chain_id, min_revision, at_revision } = received(request)?;
        self.get(&chain_id, min_revision, at_revision).await
    }

    async fn batch_get_chains(&self, request: Request<v1::BatchGetChainsRequest>) -> Reply<v1::BatchGetChainsResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetChainsRequest { chain_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&chain_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetChainsResponse { results, revision }))
    }

    async fn update_chain(&self, request: Request<v1::UpdateChainRequest>) -> Reply<v1::UpdateChainResponse> {
        self.write(request).await
    }

    async fn delete_chain(&self, request: Request<v1::DeleteChainRequest>) -> Reply<v1::DeleteChainResponse> {
        self.write(request).await
    }

    async fn list_chains(&self, request: Request<v1::ListChainsRequest>) -> Reply<v1::ListChainsResponse> {
        let v1::ListChainsRequest {
            page_size: size,
            page_token: token,
            caip2,
            min_revision,
            status: of,
            parent_chain_id,
        } = received(request)?;
        let filter = ChainFilter {
            caip2: given("caip2", caip2).map_err(status)?,
            status: convert::filter::<v1::ChainStatus, _>("status", of).map_err(malformed)?,
            parent_chain_id: given_id("parent_chain_id", &parent_chain_id).map_err(status)?,
        };
        let listed = self.list(filter, PageRequest { size, token }, min_revision).await?;
        Ok(listed.map(|(chains, next_page_token, revision)| v1::ListChainsResponse {
            chains,
            next_page_token,
            revision,
        }))
    }
}

batch_result!(Chain in batch_get_chains_response);
entity_writes! { "ChainService" Chain in chain, chain_id:
    create as "CreateChain" in CreateChainRequest => CreateChainResponse,
    update as "UpdateChain" in UpdateChainRequest => UpdateChainResponse,
    delete as "DeleteChain" in DeleteChainRequest => DeleteChainResponse,
}
