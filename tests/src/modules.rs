//! WebAssembly binaries that no compiler would make: what the gate must refuse, or survive, before a plugin says a word.
//!
//! All are components that validate, but for [`core_module`] and [`nothing`]. Those that are about instantiation export nothing,
//! and are refused for that first; [`within`] puts them into a plugin that is otherwise good. The measures are of wasmtime 48 on
//! one core, with cranelift built as `[profile.dev]` says.

use std::iter;

use wasm_encoder::{
    Alias, BlockType, CanonicalFunctionSection, CodeSection, Component, ComponentAliasSection, ComponentExportKind,
    ComponentExportSection, ComponentImportSection, ComponentInstanceSection, ComponentSection, ComponentSectionId,
    ComponentTypeRef, ComponentTypeSection, ComponentValType, ExportKind, ExportSection, Function, FunctionSection,
    InstanceSection, InstanceType, MemArg, MemorySection, MemoryType, Module, ModuleArg, ModuleSection,
    PrimitiveValType, RawSection, RefType, TableSection, TableType, TypeSection, ValType,
};

/// An interface of the package that no version has.
pub const UNKNOWN_INTERFACE: &str = "cqar:plugin/teleport@0.2.0";
/// An interface of WASI that plugins are not given.
pub const UNKNOWN_WASI: &str = "wasi:nn/inference@0.2.0";

/// The most that validators let a function declare (the limits of the WebAssembly JavaScript interface).
const MAX_LOCALS: u32 = 50_000;
/// Together 62 KB. They take 1.6 GB within two seconds, and are not compiled after two minutes; with 2 GiB of address space, the
/// compiler is out of memory within one second.
const NESTED_LOOPS: u32 = 10_000;
const LOCALS_READ: u32 = 8_000;
/// Twelve bytes each, which nearly fill the 7,654,321 that validators allow a function.
const BRANCHES: u32 = 630_000;
/// The most that validators allow, of each: memories and elements of a module, 64 KiB pages of a memory.
const MAX_MEMORIES: u32 = 100;
const MAX_ELEMENTS: u64 = 10_000_000;
const MAX_PAGES: u64 = 1 << 16;

/// Attacks the compiler's memory, and its time, with a small file: one function with the most locals that are allowed, many of
/// which are read within many nested loops. A loop may come back with another value for each local, so that cranelift makes a
/// parameter of each for every loop, 80 million in all, and only later finds them to be one.
pub fn many_locals() -> Vec<u8> {
    let mut function = Function::new([(MAX_LOCALS, ValType::I32)]);
    let mut body = function.instructions();
    for _ in 0..NESTED_LOOPS {
        body.loop_(BlockType::Empty);
    }
    for local in 0..LOCALS_READ {
        body.local_get(local).drop();
    }
    for _ in 0..NESTED_LOOPS {
        body.end();
    }
    body.end();
    component(&module(&[function]))
}

/// Attacks the compiler's time alone: one function of nearly the largest size allowed, whose branches cost cranelift the square of
/// their number. A quarter of them take two minutes, all of them, by that, some twenty-five, and no more than 0.8 GB.
pub fn one_huge_function() -> Vec<u8> {
    let mut function = Function::new([(1, ValType::I32)]);
    let mut body = function.instructions();
    let first_byte = MemArg { offset: 0, align: 0, memory_index: 0 };
    for _ in 0..BRANCHES {
        body.local_get(0).if_(BlockType::Empty);
        // A block with nothing in it would be removed.
        body.local_get(0).local_get(0).i32_store8(first_byte);
        body.end();
    }
    body.end();
    component(&module(&[function]))
}

/// A compilation that is legal and takes as long as is wanted: so many functions that do nothing, four bytes each. Each costs
/// cranelift 84 µs and 6 KB; a million are allowed.
pub fn many_functions(functions: usize) -> Vec<u8> {
    let mut nothing = Function::new([]);
    nothing.instructions().end();
    component(&module(&vec![nothing; functions]))
}

/// Attacks the host's address space, of which each memory takes gigabytes however small it is: as many memories as are allowed.
pub fn many_memories() -> Vec<u8> {
    component(&with_memories(MAX_MEMORIES, 1))
}

/// Attacks the host's memory by what is not a memory: the largest table that is allowed, 80 MB of it.
pub fn large_table() -> Vec<u8> {
    let mut tables = TableSection::new();
    let element_type = RefType::FUNCREF;
    tables.table(TableType { element_type, table64: false, minimum: MAX_ELEMENTS, maximum: None, shared: false });
    let mut module = Module::new();
    module.section(&tables);
    component(&module)
}

/// Attacks the host's memory: 4 GiB from the start.
pub fn large_memory() -> Vec<u8> {
    component(&with_memories(1, MAX_PAGES))
}

/// A plugin that is as good as the given one, and in which the other component is instantiated besides. The other must import
/// nothing.
pub fn within(plugin: &[u8], other: &[u8]) -> Vec<u8> {
    let index = nested_components(plugin);
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(index, iter::empty::<(&str, ComponentExportKind, u32)>());

    let mut composed = plugin.to_vec();
    RawSection { id: ComponentSectionId::Component.into(), data: other }.append_to_component(&mut composed);
    instances.append_to_component(&mut composed);
    composed
}

/// That many zeros: a file that is large, and WebAssembly from its first byte on not.
pub fn nothing(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

/// Asks for more than the host gives: a component that imports this interface, with one function. It exports an interface of the
/// package, so that the version is no reason to refuse it.
pub fn unknown_import(interface: &str) -> Vec<u8> {
    let mut function = InstanceType::new();
    function.ty().function().params(iter::empty::<(&str, ComponentValType)>()).result(None);
    function.export("run", ComponentTypeRef::Func(0));
    let mut types = ComponentTypeSection::new();
    types.instance(&function);
    let mut imports = ComponentImportSection::new();
    imports.import(interface, ComponentTypeRef::Instance(0));
    // Instance 0 is the one that is imported.
    let mut instances = ComponentInstanceSection::new();
    instances.export_items(iter::empty::<(&str, ComponentExportKind, u32)>());
    let mut exports = ComponentExportSection::new();
    exports.export("cqar:plugin/lifecycle@0.2.0", ComponentExportKind::Instance, 1, None);

    let mut component = Component::new();
    component.section(&types).section(&imports).section(&instances).section(&exports);
    component.finish()
}

/// Says to be a validator and is none: `validate` is `func() -> u32`, and there is no `lifecycle`. A host that called it as what
/// its name says would read memory where there is a number.
pub fn wrong_type() -> Vec<u8> {
    let mut function = Function::new([]);
    function.instructions().i32_const(7).end();
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    let mut exports = ExportSection::new();
    exports.export("validate", ExportKind::Func, 0);
    let mut module = Module::new();
    module.section(&types).section(&functions(1)).section(&exports).section(&code(&[function]));

    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::CoreInstanceExport { instance: 0, kind: ExportKind::Func, name: "validate" });
    let mut types = ComponentTypeSection::new();
    let result = Some(ComponentValType::Primitive(PrimitiveValType::U32));
    types.function().params(iter::empty::<(&str, ComponentValType)>()).result(result);
    let mut lifted = CanonicalFunctionSection::new();
    lifted.lift(0, 0, []);
    let mut instances = ComponentInstanceSection::new();
    instances.export_items([("validate", ComponentExportKind::Func, 0)]);
    let mut exports = ComponentExportSection::new();
    exports.export("cqar:plugin/validator@0.2.0", ComponentExportKind::Instance, 0, None);

    let mut component = Component::new();
    component.section(&ModuleSection(&module)).section(&instance()).section(&aliases);
    component.section(&types).section(&lifted).section(&instances).section(&exports);
    component.finish()
}

/// The shortest core module: the magic number and the version, and no component.
pub fn core_module() -> Vec<u8> {
    Module::new().finish()
}

/// A component that is an instance of the module.
fn component(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module)).section(&instance());
    component.finish()
}

/// An instance of the first module, which imports nothing.
fn instance() -> InstanceSection {
    let mut instances = InstanceSection::new();
    instances.instantiate(0, iter::empty::<(&str, ModuleArg)>());
    instances
}

/// A module of functions without parameters and results, and a memory.
fn module(bodies: &[Function]) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut module = Module::new();
    module.section(&types).section(&functions(bodies.len())).section(&memories(1, 1)).section(&code(bodies));
    module
}

fn with_memories(number: u32, pages: u64) -> Module {
    let mut module = Module::new();
    module.section(&memories(number, pages));
    module
}

fn memories(number: u32, pages: u64) -> MemorySection {
    let mut memories = MemorySection::new();
    for _ in 0..number {
        memories.memory(MemoryType {
            minimum: pages,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
    }
    memories
}

/// So many functions of the first type.
fn functions(number: usize) -> FunctionSection {
    let mut functions = FunctionSection::new();
    for _ in 0..number {
        functions.function(0);
    }
    functions
}

fn code(bodies: &[Function]) -> CodeSection {
    let mut code = CodeSection::new();
    for body in bodies {
        code.function(body);
    }
    code
}

/// The number of components that one defines, which is the index of the next: each is a section of its own.
fn nested_components(component: &[u8]) -> u32 {
    // The magic number, the version and the layer come first.
    let mut rest = component.get(8..).unwrap_or_default();
    let mut components = 0;
    while let [id, after_id @ ..] = rest {
        if *id == u8::from(ComponentSectionId::Component) {
            components += 1;
        }
        let (size, content) = leb128(after_id);
        rest = &content[size..];
    }
    components
}

/// An unsigned number of variable length (WebAssembly Core Specification, 5.2.2), and what comes after it.
fn leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a number ends");
    let (number, rest) = bytes.split_at(last + 1);
    (number.iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f)), rest)
}
