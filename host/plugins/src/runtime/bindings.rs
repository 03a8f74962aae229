//! The WIT package `cqar:plugin` in Rust, generated from `wit/plugin.wit`.
//!
//! One world holds all of it, so that types which several interfaces share are one type here. No plugin exports all of
//! it: each interface is loaded on its own. Arguments are borrowed, and written into the plugin's memory from where
//! they lie.
#![allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs, unused_qualifications, reason = "generated")]
#![allow(unsafe_code, dead_code, reason = "generated, and the world is larger than what one plugin exports")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package cqar:host;
        world everything {
            include cqar:plugin/validator-plugin@0.2.0;
            include cqar:plugin/symbology-plugin@0.2.0;
            include cqar:plugin/transform-plugin@0.2.0;
        }
    ",
    additional_derives: [serde::Serialize],
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: {
        "cqar:plugin/registry.get": async | trappable,
        "cqar:plugin/registry.find": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
