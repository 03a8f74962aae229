//! Identifiers: what others call entities.

use std::time::Duration;

use crate::{
    caip19,
    entities::deployment::Deployment,
    entity::{Meta, TypedEntity, changed_fields, references},
    external_id::{is_dti, is_figi, is_isin, is_mic},
    id::{EntityKey, EntityType, IdentifierId, Source},
    text::EXTERNAL_ID,
    time::Timestamp,
    unique_key::UniqueKey,
    violation::Violations,
};

/// What a source calls an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Its id.
    pub id: IdentifierId,
    /// What is called so, one of [`IDENTIFIED`]; immutable.
    pub entity: EntityKey,
    /// Who calls it so; immutable.
    pub source: Source,
    /// The id there; immutable.
    pub external_id: String,
    /// Whether it is the first of those of that source.
    pub is_primary: bool,
    /// When it was last compared with the source.
    pub verified_time: Option<Timestamp>,
    /// Revision and times.
    pub meta: Meta,
}

/// What may have identifiers.
pub const IDENTIFIED: [EntityType; 5] =
    [EntityType::Asset, EntityType::Deployment, EntityType::Instrument, EntityType::Market, EntityType::Venue];

/// The source of CAIP-19 ids, which deployments have by themselves.
pub const CAIP19: &str = "caip19";

impl Identifier {
    /// The unique key of whatever the source calls so.
    pub fn external_key(source: &Source, external_id: &str) -> UniqueKey {
        UniqueKey::new("identifier.external_id", &[source.as_str(), external_id])
    }

    /// A source's id in the one spelling that is kept, as far as the source says that there are several.
    pub fn normalized(source: &Source, external_id: &str) -> Option<String> {
        if source.as_str() == CAIP19 { caip19::normalized(external_id) } else { Some(external_id.to_owned()) }
    }

    /// What a source's ids look like, and whether this is none of them.
    fn malformed(&self) -> Option<(&'static str, &'static str)> {
        let (is_one, code, what): (fn(&str) -> bool, _, _) = match self.source.as_str() {
            "figi" => (is_figi, "INVALID_FIGI", "must be a FIGI: 12 characters, the last of which checks the others"),
            "isin" => (
                is_isin,
                "INVALID_ISIN",
                "must be an ISIN (ISO 6166): 12 characters, the last of which checks the others",
            ),
            "dti" => {
                (is_dti, "INVALID_DTI", "must be a DTI (ISO 24165): 9 characters, the last of which checks the others")
            }
            "mic" => (is_mic, "INVALID_MIC", "must be a MIC (ISO 10383): four capital letters or digits"),
            CAIP19 => (
                |id| caip19::normalized(id).is_some(),
                "INVALID_CAIP19",
                "must be a CAIP-19 id whose address is one of its chain, such as eip155:1/slip44:60",
            ),
            _ => return None,
        };
        (!is_one(&self.external_id)).then_some((code, what))
    }
}

impl TypedEntity for Identifier {
    const TYPE: EntityType = EntityType::Identifier;
    const SOFT_DELETE: bool = false;
    const CACHE_TTL: Duration = Duration::from_hours(1);

    fn key(&self) -> EntityKey {
        EntityKey::Identifier(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        EXTERNAL_ID.check("external_id", &self.external_id, found);
        if let Some((code, what)) = self.malformed() {
            found.add("external_id", code, what);
        }
        if !IDENTIFIED.contains(&self.entity.entity_type()) {
            let types = IDENTIFIED.map(EntityType::name).join(", ");
            found.add("entity", "NOT_IDENTIFIED", format_args!("must be one of {types}"));
        }
    }

    changed_fields!(entity, source, external_id, is_primary, verified_time);

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        let mut keys = vec![("external_id", Self::external_key(&self.source, &self.external_id))];
        if self.is_primary {
            let (of, id) = (self.entity.entity_type().name(), self.entity.id());
            keys.push(("is_primary", UniqueKey::new("identifier.primary", &[of, &id, self.source.as_str()])));
        }
        keys
    }

    /// A CAIP-19 id that a deployment has names that.
    fn excluded_keys(&self) -> Vec<(String, UniqueKey)> {
        let of_deployment = (self.source.as_str() == CAIP19).then(|| Deployment::caip19_key(&self.external_id));
        of_deployment.into_iter().map(|key| ("external_id".to_owned(), key)).collect()
    }

    references!(entity);
}
