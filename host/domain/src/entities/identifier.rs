//! Identifiers: what others call entities.

use crate::{
    caip19,
    entities::deployment::Deployment,
    entity::{Meta, ReferenceField, TypedEntity, changed_fields, references},
    external_id::{is_dti, is_figi, is_isin, is_mic},
    id::{AssetId, DeploymentId, EntityKey, EntityType, IdentifierId, InstrumentId, MarketId, Source, VenueId},
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
    /// What is called so; immutable.
    pub entity: Identified,
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the types are")]
pub enum Identified {
    Asset(AssetId),
    Deployment(DeploymentId),
    Instrument(InstrumentId),
    Market(MarketId),
    Venue(VenueId),
}

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

impl Identified {
    /// Its key.
    pub fn key(&self) -> EntityKey {
        match self {
            Self::Asset(id) => (*id).into(),
            Self::Deployment(id) => (*id).into(),
            Self::Instrument(id) => (*id).into(),
            Self::Market(id) => (*id).into(),
            Self::Venue(id) => id.clone().into(),
        }
    }

    /// What has the key, if that may have identifiers.
    pub fn of(key: EntityKey) -> Option<Self> {
        Some(match key {
            EntityKey::Asset(id) => Self::Asset(id),
            EntityKey::Deployment(id) => Self::Deployment(id),
            EntityKey::Instrument(id) => Self::Instrument(id),
            EntityKey::Market(id) => Self::Market(id),
            EntityKey::Venue(id) => Self::Venue(id),
            _ => return None,
        })
    }
}

impl ReferenceField for Identified {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        visit(self.key());
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        if let Some(other) = replace(&self.key()).and_then(Self::of) {
            *self = other;
        }
    }
}

impl TypedEntity for Identifier {
    const TYPE: EntityType = EntityType::Identifier;
    const SOFT_DELETE: bool = false;
    const FIRST_OF_SEVERAL: &'static [&'static str] = &["is_primary"];

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
    }

    changed_fields!(entity, source, external_id, is_primary, verified_time);

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        let mut keys = vec![("external_id", Self::external_key(&self.source, &self.external_id))];
        if self.is_primary {
            let entity = self.entity.key();
            let parts = [entity.entity_type().name(), &entity.id(), self.source.as_str()];
            keys.push(("is_primary", UniqueKey::new("identifier.primary", &parts)));
        }
        keys
    }

    fn contradictions(&self, existing: &Self, found: &mut Violations) {
        if self.entity != existing.entity {
            let (id, named) = (existing.id, existing.entity.key());
            found.add("entity", "CONTRADICTION", format_args!("contradicts identifier {id}, which names {named}"));
        }
    }

    /// A CAIP-19 id that a deployment has names that.
    fn excluded_keys(&self) -> Vec<(String, UniqueKey)> {
        let of_deployment = (self.source.as_str() == CAIP19).then(|| Deployment::caip19_key(&self.external_id));
        of_deployment.into_iter().map(|key| ("external_id".to_owned(), key)).collect()
    }

    references!(entity);
}
