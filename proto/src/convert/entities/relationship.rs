//! Relationships.

use cqar_domain::{
    entities::relationship::{Rate, Relationship, RelationshipType},
    id::RelationshipId,
};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, decimal_text, etag, mask::masked, same_variants},
    v1,
};

same_variants!(v1::RelationshipType, RelationshipType: Wraps, Bridges, Stakes, SyntheticOf, LiquidityPair, MigratesTo, ForksFrom,
    Rebases);

impl From<&Rate> for v1::RateKind {
    fn from(rate: &Rate) -> Self {
        match rate {
            Rate::Fixed(_) => Self::Fixed,
            Rate::Rebasing(_) => Self::Rebasing,
            Rate::Oracle => Self::Oracle,
            Rate::None => Self::None,
        }
    }
}

impl From<&Relationship> for v1::Relationship {
    fn from(relationship: &Relationship) -> Self {
        Self {
            id: relationship.id.to_string(),
            from_asset_id: relationship.from_asset_id.to_string(),
            to_asset_id: relationship.to_asset_id.to_string(),
            r#type: v1::RelationshipType::from(relationship.relationship_type).into(),
            rate_kind: v1::RateKind::from(&relationship.rate).into(),
            conversion_rate: decimal_text(relationship.rate.number()),
            effective_time: relationship.effective_time.map(Into::into),
            protocol: relationship.protocol.clone(),
            revision: relationship.meta.revision,
            etag: etag(&relationship.meta),
            create_time: relationship.meta.create_time.map(Into::into),
            update_time: relationship.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Relationship {
    type Entity = Relationship;

    const SAMPLE: &'static str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "from_asset_id": "01890a5d-ac96-774b-bcce-b302099a8058",
        "to_asset_id": "01890a5d-ac96-774b-bcce-b302099a8059", "type": "RELATIONSHIP_TYPE_WRAPS", "rate_kind":
        "RATE_KIND_FIXED", "conversion_rate": "1"}"#;

    arm!(Relationship);

    fn label(&self) -> &str {
        self.r#type().as_str_name().trim_start_matches("RELATIONSHIP_TYPE_")
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Relationship> {
        let id = reader.id(&self.id, RelationshipId::new);
        let from_asset_id = reader.reference("from_asset_id", &mut self.from_asset_id);
        let to_asset_id = reader.reference("to_asset_id", &mut self.to_asset_id);
        let relationship_type = reader.enumeration::<v1::RelationshipType, _>("type", self.r#type);
        let rate = reader.rate(self.rate_kind, &self.conversion_rate);
        let effective_time = reader.time("effective_time", self.effective_time);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(Relationship {
            id: id?,
            from_asset_id: from_asset_id?,
            to_asset_id: to_asset_id?,
            relationship_type: relationship_type?,
            rate: rate?,
            effective_time: effective_time?,
            protocol: self.protocol.clone(),
            meta: meta?,
        })
    }
}

impl Reader<'_> {
    fn rate(&mut self, kind: i32, rate: &str) -> Option<Rate> {
        match v1::RateKind::try_from(kind) {
            Ok(v1::RateKind::Fixed) => self.required("conversion_rate", rate).map(Rate::Fixed),
            Ok(v1::RateKind::Rebasing) => self.required("conversion_rate", rate).map(Rate::Rebasing),
            Ok(v1::RateKind::Oracle) => self.without(rate).map(|()| Rate::Oracle),
            Ok(v1::RateKind::None) => self.without(rate).map(|()| Rate::None),
            Ok(v1::RateKind::Unspecified) => self.missing("rate_kind"),
            Err(_) => {
                self.found.add("rate_kind", "UNKNOWN_VALUE", "is no value of this enumeration");
                None
            }
        }
    }

    fn without(&mut self, rate: &str) -> Option<()> {
        if rate.is_empty() {
            return Some(());
        }
        self.found.add("conversion_rate", "NOT_ALLOWED", "must not be given: only FIXED and REBASING have a rate here");
        None
    }
}

masked!(
    v1::Relationship: [rate_kind, conversion_rate, effective_time, protocol],
    [from_asset_id, to_asset_id, r#type as "type"]
);
