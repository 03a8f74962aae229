//! Table `venues`.

use std::collections::BTreeMap;

use cqar_domain::{
    entities::venue::{Venue, VenueType},
    id::{ChainId, EntityType, IdError},
};
use cqar_proto::v1;

use super::{JsonText, Table, json_value, meta_values, time_value};
use crate::{
    filter::Filter,
    row::RowReader,
    schema::{IndexedFilter, ListReference, Reference},
    value::Value,
};

/// Which venues to list; an absent field is no condition.
#[derive(Debug, Clone, Default)]
pub struct VenueFilter {
    /// The type.
    pub venue_type: Option<VenueType>,
    /// On one chain.
    pub chain_id: Option<ChainId>,
    /// Deleted ones too.
    pub show_deleted: bool,
}

impl From<VenueFilter> for Filter {
    fn from(filter: VenueFilter) -> Self {
        Self::of(Venue::SCHEMA)
            .and_text("chain_id", filter.chain_id)
            .and_text("type", filter.venue_type.map(|of| v1::VenueType::from(of).as_str_name()))
            .show_deleted(filter.show_deleted)
    }
}

impl Table for Venue {
    const NAME: &'static str = "venues";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "type",
        "chain_id",
        "protocol_address",
        "website_url",
        "api_endpoint",
        "mic",
        "symbology",
        "is_active",
        "network_chain_ids",
        "revision",
        "create_us",
        "update_us",
        "delete_us",
    ];
    const REFERENCES: &'static [Reference] = &[Reference::by("chain_id", EntityType::Chain, "venues_chain")];
    const LIST_REFERENCES: &'static [ListReference] =
        &[ListReference { field: "network_chain_ids", target: EntityType::Chain }];
    const FILTERS: &'static [IndexedFilter] = &[IndexedFilter::by(&["chain_id"], "venues_chain")];

    fn write_order(&self) -> &str {
        self.id.as_str()
    }

    fn values(&self) -> Vec<Value> {
        let [revision, create, update] = meta_values(&self.meta);
        vec![
            Value::Text(self.id.to_string()),
            Value::Text(self.name.clone()),
            Value::Text(v1::VenueType::from(self.venue_type).as_str_name().to_owned()),
            Value::OptText(self.chain_id.as_ref().map(ToString::to_string)),
            Value::Text(self.protocol_address.clone()),
            Value::Text(self.website_url.clone()),
            Value::Text(self.api_endpoint.clone()),
            Value::Text(self.mic.clone()),
            Value::Text(self.symbology.clone()),
            Value::Bool(self.is_active),
            json_value(&self.network_chain_ids),
            revision,
            create,
            update,
            time_value(self.meta.delete_time),
        ]
    }

    fn read(row: &mut RowReader<'_>) -> Result<Self, String> {
        Ok(Self {
            id: row.parsed()?,
            name: row.value()?,
            venue_type: row.named(v1::VenueType::from_str_name)?,
            chain_id: row.parsed_optional()?,
            protocol_address: row.value()?,
            website_url: row.value()?,
            api_endpoint: row.value()?,
            mic: row.value()?,
            symbology: row.value()?,
            is_active: row.value()?,
            network_chain_ids: row.json()?,
            meta: row.meta()?,
        })
    }
}

impl JsonText for BTreeMap<String, ChainId> {
    fn to_json(&self) -> String {
        let ids: BTreeMap<&str, &str> = self.iter().map(|(key, id)| (key.as_str(), id.as_str())).collect();
        serde_json::json!(ids).to_string()
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let ids: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let id = |(key, id): (String, String)| Ok((key, id.parse().map_err(|error: IdError| error.to_string())?));
        ids.into_iter().map(id).collect()
    }
}
