//! The bare WIT of the world `transform-plugin`, for what the trait does not offer.
#![allow(unsafe_code, missing_docs, unused_qualifications, clippy::all, clippy::pedantic, reason = "generated")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "cqar:plugin/transform-plugin",
    with: {
        "cqar:plugin/types@0.2.0": cqar_plugin_sdk::bindings::cqar::plugin::types,
        "cqar:plugin/log@0.2.0": cqar_plugin_sdk::bindings::cqar::plugin::log,
        "cqar:plugin/registry@0.2.0": cqar_plugin_sdk::bindings::cqar::plugin::registry,
    },
    pub_export_macro: true,
    default_bindings_module: "cqar_plugin_transform::bindings",
    additional_derives: [PartialEq, Eq],
});
