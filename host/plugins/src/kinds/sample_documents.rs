//! A document of every entity type, for the samples of the gate.

use cqar_domain::id::EntityType;
use cqar_proto::convert;
use serde_json::Value;

/// The id of the sample where a type has one of its own.
pub(crate) const SAMPLE_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The document of a type; empty for one whose sample is none, which a test refuses.
pub(crate) fn sample_document(entity_type: EntityType) -> Value {
    serde_json::from_str(convert::sample(entity_type)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cqar_proto::v1;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_sample_is_a_document_of_the_contract() {
        for entity_type in EntityType::ALL {
            let document = sample_document(entity_type);
            let entity = json!({entity_type.name(): document});
            let read: v1::Entity = serde_json::from_value(entity).unwrap();
            assert!(read.entity.is_some(), "{entity_type:?}: {document}");
        }
    }
}
