//! What an instance of a component takes beside its memories and tables: its globals, and the addresses of its functions. The runtime's
//! limits do not count them, so a component that has too many of them is not compiled.

use wasmparser::{Parser, Payload};

/// For a global, and for a function that is imported or referred to (wasmtime, `VMOffsets`).
const GLOBAL_BYTES: u64 = 16;
const FUNCTION_BYTES: u64 = 32;
/// Those of one component's instances together: interpreters have 40 MiB at most.
const MAX_BYTES: u64 = 64 << 20;
/// As many as an instance of a component may have.
const MAX_INSTANCES: u64 = 100;

/// Refuses what would take too much; what cannot be parsed is for the compiler to refuse.
pub(super) fn check(component: &[u8]) -> Result<(), String> {
    let (mut heaviest, mut of_module, mut instances, mut components) = (0_u64, 0_u64, 0_u64, 1_u64);
    for payload in Parser::new(0).parse_all(component) {
        let (globals, functions) = match payload {
            Err(_) => return Ok(()),
            Ok(Payload::Version { .. }) => {
                heaviest = heaviest.max(std::mem::take(&mut of_module));
                (0, 0)
            }
            Ok(Payload::ImportSection(imports)) => (0, imports.count()),
            Ok(Payload::GlobalSection(globals)) => (globals.count(), 0),
            Ok(Payload::FunctionSection(functions)) => (0, functions.count()),
            Ok(Payload::InstanceSection(section)) => {
                instances += u64::from(section.count());
                (0, 0)
            }
            Ok(Payload::ComponentInstanceSection(section)) => {
                components += u64::from(section.count());
                (0, 0)
            }
            Ok(_) => (0, 0),
        };
        of_module += u64::from(globals) * GLOBAL_BYTES + u64::from(functions) * FUNCTION_BYTES;
    }
    // A component within it may be instantiated several times.
    let instances = instances.saturating_mul(components).min(MAX_INSTANCES);
    let bytes = heaviest.max(of_module) * instances;
    if bytes > MAX_BYTES {
        return Err(format!(
            "its instances would need some {} MiB for globals and functions, and {} are allowed",
            bytes >> 20,
            MAX_BYTES >> 20
        ));
    }
    Ok(())
}
