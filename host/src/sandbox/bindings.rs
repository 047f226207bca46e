//! The host's side of `wit/`, generated; nothing else.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "transform",
    ownership: Borrowing { duplicate_if_necessary: true },
});
