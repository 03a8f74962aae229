//! The bare WIT of the world `symbology-plugin`, for what the trait does not offer.
#![allow(unsafe_code, missing_docs, unused_qualifications, clippy::all, clippy::pedantic, reason = "generated")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "cqar:plugin/symbology-plugin",
    with: {
        "cqar:plugin/types@0.2.0": cqar_plugin_sdk::bindings::cqar::plugin::types,
        "cqar:plugin/log@0.2.0": cqar_plugin_sdk::bindings::cqar::plugin::log,
        "cqar:plugin/registry@0.2.0": cqar_plugin_sdk::bindings::cqar::plugin::registry,
    },
    pub_export_macro: true,
    default_bindings_module: "cqar_plugin_symbology::bindings",
    additional_derives: [PartialEq, Eq],
});
