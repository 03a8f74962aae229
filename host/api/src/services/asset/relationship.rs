//! Relationships: their writes, what their list asks for, and the variants that follow from them.

use cqar_domain::id::IdError;
use cqar_proto::{convert, v1};
use cqar_registry::{Error, PageRequest, VariantsQuery, filters::RelationshipFilter};
use tonic::Status;

use crate::{
    reads::{batch_result, given_id, read_revision},
    status::{invalid, status},
    writes::entity_writes,
};

/// What a list asks for.
pub(super) fn listed(request: v1::ListRelationshipsRequest) -> Result<(RelationshipFilter, PageRequest, i64), Error> {
    let v1::ListRelationshipsRequest {
        page_size: size,
        page_token: token,
        min_revision,
        from_asset_id,
        to_asset_id,
        r#type,
    } = request;
    let filter = RelationshipFilter {
        from_asset_id: given_id("from_asset_id", &from_asset_id)?,
        to_asset_id: given_id("to_asset_id", &to_asset_id)?,
        relationship_type: convert::filter::<v1::RelationshipType, _>("type", r#type).map_err(Error::Invalid)?,
    };
    Ok((filter, PageRequest { size, token }, min_revision))
}

/// Which variants are asked for.
pub(super) fn variants(request: v1::ListVariantsRequest) -> Result<(VariantsQuery, PageRequest), Status> {
    let v1::ListVariantsRequest { page_size: size, page_token: token, min_revision, asset_id, max_depth } = request;
    let min_revision = read_revision(min_revision, 0)?;
    let asset = asset_id.parse().map_err(|error: IdError| status(invalid("asset_id", "INVALID", error)))?;
    Ok((VariantsQuery { asset, max_depth, min_revision }, PageRequest { size, token }))
}

batch_result!(Relationship in batch_get_relationships_response);
entity_writes! { "AssetService" Relationship in relationship, relationship_id:
    create as "CreateRelationship" in CreateRelationshipRequest => CreateRelationshipResponse,
    update as "UpdateRelationship" in UpdateRelationshipRequest => UpdateRelationshipResponse,
    delete as "DeleteRelationship" in DeleteRelationshipRequest => DeleteRelationshipResponse,
}
