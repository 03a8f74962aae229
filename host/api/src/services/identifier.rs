//! `cqar.v1.IdentifierService`

use cqar_proto::{
    convert,
    encoded::{EncodedAnswer, EncodedBatch},
    server::identifier_service_server::IdentifierService,
    v1,
};
use cqar_registry::{Error, IdentifierQuery, JoinedQuery, PageRequest, filters::IdentifierFilter};
use tonic::{Request, async_trait};

use super::{Api, Reply};
use crate::{
    memory::{AnswerBudget, received},
    reads::{batch_result, given_id},
    status::{invalid, status},
    writes::entity_writes,
};

#[async_trait]
impl IdentifierService for Api {
    async fn create_identifier(
        &self,
        request: Request<v1::CreateIdentifierRequest>,
    ) -> Reply<v1::CreateIdentifierResponse> {
        self.write(request).await
    }

    async fn get_identifier(&self, request: Request<v1::GetIdentifierRequest>) -> Reply<v1::Identifier> {
        let v1::GetIdentifierRequest { identifier_id, min_revision, at_revision } = received(request)?;
        self.get(&identifier_id, min_revision, at_revision).await
    }

    async fn batch_get_identifiers(
        &self,
        request: Request<v1::BatchGetIdentifiersRequest>,
    ) -> Reply<v1::BatchGetIdentifiersResponse> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchGetIdentifiersRequest { identifier_ids, min_revision, at_revision } = received(request)?;
        let found = self.batch_get(&identifier_ids, min_revision, at_revision, budget).await?;
        Ok(found.map(|(results, revision)| v1::BatchGetIdentifiersResponse { results, revision }))
    }

    async fn update_identifier(
        &self,
        request: Request<v1::UpdateIdentifierRequest>,
    ) -> Reply<v1::UpdateIdentifierResponse> {
        self.write(request).await
    }

    async fn delete_identifier(
        &self,
        request: Request<v1::DeleteIdentifierRequest>,
    ) -> Reply<v1::DeleteIdentifierResponse> {
        self.write(request).await
    }

    async fn list_identifiers(
        &self,
        request: Request<v1::ListIdentifiersRequest>,
    ) -> Reply<v1::ListIdentifiersResponse> {
        let (filter, page, min_revision) = listed(received(request)?).map_err(status)?;
        let listed = self.list(filter, page, min_revision).await?;
        Ok(listed.map(|(identifiers, next_page_token, revision)| v1::ListIdentifiersResponse {
            identifiers,
            next_page_token,
            revision,
        }))
    }

    async fn resolve_identifier(&self, request: Request<v1::ResolveIdentifierRequest>) -> Reply<EncodedAnswer> {
        let v1::ResolveIdentifierRequest { external, min_revision, at_revision } = received(request)?;
        let query =
            external.map(query).ok_or_else(|| invalid(&IdentifierQuery::ALONE.query(), "REQUIRED", "must be given"));
        self.join(query, min_revision, at_revision).await
    }

    async fn batch_resolve_identifiers(
        &self,
        request: Request<v1::BatchResolveIdentifiersRequest>,
    ) -> Reply<EncodedBatch> {
        let budget = AnswerBudget::of(&request);
        let v1::BatchResolveIdentifiersRequest { requests, min_revision, at_revision } = received(request)?;
        self.batch_join(requests.into_iter().map(|it| Ok(query(it))), min_revision, at_revision, budget).await
    }
}

fn query(external: v1::ExternalId) -> JoinedQuery {
    let v1::ExternalId { source, external_id } = external;
    JoinedQuery::Identifier(IdentifierQuery { source, external_id })
}

/// What a list asks for.
fn listed(request: v1::ListIdentifiersRequest) -> Result<(IdentifierFilter, PageRequest, i64), Error> {
    let v1::ListIdentifiersRequest { page_size: size, page_token: token, min_revision, entity, source } = request;
    let entity = entity.map(|entity| convert::identified("entity", entity)).transpose().map_err(Error::Invalid)?;
    let filter = IdentifierFilter { entity, source: given_id("source", &source)? };
    Ok((filter, PageRequest { size, token }, min_revision))
}

batch_result!(Identifier in batch_get_identifiers_response);
entity_writes! { "IdentifierService" Identifier in identifier, identifier_id:
    create as "CreateIdentifier" in CreateIdentifierRequest => CreateIdentifierResponse,
    update as "UpdateIdentifier" in UpdateIdentifierRequest => UpdateIdentifierResponse,
    delete as "DeleteIdentifier" in DeleteIdentifierRequest => DeleteIdentifierResponse,
}
