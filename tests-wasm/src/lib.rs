//! A host of evaluation modules, as the providers for other languages are.

#[path = "../../xtask/src/conformance/compare.rs"]
#[expect(
    dead_code,
    reason = "some of it is for the corpus of `cargo xtask conformance`"
)]
mod compare;
#[path = "../../benches/src/measured_context.rs"]
mod measured_context;
#[path = "../../benches/src/measured_flags.rs"]
pub mod measured_flags;
#[path = "../../benches/src/native_context.rs"]
pub mod native_context;
pub mod vectors;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use wasmtime::{
    Caller, Config, Engine, Extern, Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder,
    TypedFunc,
};

/// The budgets that `benches` has for its flags, which do not concern this comparison.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// No larger than this.
    AtMost(f64),
    /// Stated, not judged.
    Stated,
}

/// Whether an answer agrees with a recorded one: as JSON values, without details that Go words.
#[must_use]
pub fn agree(answer: &str, recorded: &str) -> bool {
    compare::agree(answer, recorded)
}

/// The input document of a measured flag, of a context like the measured one, and its user.
#[must_use]
pub fn document(key: &str, flag: &Value, user: &str) -> String {
    let native = native_context::NativeContext::new();
    let attributes = native.attributes.into_iter();
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let context: Map<String, Value> = attributes
        .chain([("targetingKey".to_owned(), user.into())])
        .collect();
    // In the order of the providers; a map of `serde_json` would sort the members.
    let (key, context) = (Value::from(key), Value::from(context));
    let flag_context = json!({"defaultSdkValue": false, "evaluationContextEnrichment": {}});
    format!(
        r#"{{"flagKey":{key},"flag":{flag},"evalContext":{context},"flagContext":{flag_context}}}"#
    )
}

/// Why a host could not do something.
pub type Failure = Box<dyn Error + Send + Sync>;

/// An instance of an evaluation module.
pub struct Guest {
    store: Store<StoreLimits>,
    memory: Memory,
    malloc: TypedFunc<u32, u32>,
    free: TypedFunc<u32, ()>,
    evaluate: TypedFunc<(u32, u32), u64>,
}

/// A compiled module, of which instances are made.
#[derive(Debug)]
pub struct Compiled(Module);

/// The file that an environment variable names.
///
/// # Panics
///
/// If it is not set: `cargo xtask wasm` sets it.
#[must_use]
pub fn module_file(variable: &str) -> PathBuf {
    let file = std::env::var_os(variable);
    file.unwrap_or_else(|| panic!("{variable} names no module; run this by `cargo xtask wasm`"))
        .into()
}

impl Compiled {
    /// Compiles a module for threads of this stack size in bytes; wasmtime's default is 512 KiB.
    ///
    /// # Errors
    ///
    /// When it is no module.
    pub fn new(file: &Path, stack: usize) -> Result<Self, Failure> {
        let mut config = Config::new();
        config.max_wasm_stack(stack);
        let engine = Engine::new(&config)?;
        Ok(Self(Module::from_file(&engine, file)?))
    }

    /// An instance whose memory grows to so many bytes at most.
    ///
    /// # Errors
    ///
    /// When the module imports what no host of the official one has, or lacks an export.
    pub fn instance(&self, most_memory: usize) -> Result<Guest, Failure> {
        let limits = StoreLimitsBuilder::new().memory_size(most_memory).build();
        let mut store = Store::new(self.0.engine(), limits);
        store.limiter(|limits| limits);
        let linker = linker(self.0.engine())?;
        let instance = linker.instantiate(&mut store, &self.0)?;
        let memory = instance.get_memory(&mut store, "memory");
        let guest = Guest {
            memory: memory.ok_or("there is no export `memory`")?,
            malloc: instance.get_typed_func(&mut store, "malloc")?,
            free: instance.get_typed_func(&mut store, "free")?,
            evaluate: instance.get_typed_func(&mut store, "evaluate")?,
            store,
        };
        let mut store = guest.store;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call(&mut store, ())?;
        Ok(Guest { store, ..guest })
    }
}

impl Guest {
    /// Evaluates as the Python provider does. An error is a trap, or an output that is not in memory.
    ///
    /// # Errors
    ///
    /// See above; or when the module has no memory for the input.
    pub fn evaluate(&mut self, input: &[u8]) -> Result<String, Failure> {
        let length = u32::try_from(input.len())?;
        let address = self.malloc.call(&mut self.store, length + 1)?;
        if address == 0 {
            return Err("malloc returned 0".into());
        }
        self.write(address, input)?;
        let output = self.evaluate_at(address, length)?;
        self.free.call(&mut self.store, address)?;
        Ok(output)
    }

    /// Writes an input and a zero byte to memory.
    ///
    /// # Errors
    ///
    /// When it is not in memory.
    pub fn write(&mut self, address: u32, input: &[u8]) -> Result<(), Failure> {
        let address = address as usize;
        self.memory.write(&mut self.store, address, input)?;
        let end = address + input.len();
        Ok(self.memory.write(&mut self.store, end, &[0])?)
    }

    /// Calls `evaluate` and copies the output.
    ///
    /// # Errors
    ///
    /// When it traps, or the output is not UTF-8 in memory.
    pub fn evaluate_at(&mut self, address: u32, length: u32) -> Result<String, Failure> {
        let result = self.evaluate.call(&mut self.store, (address, length))?;
        let (address, length) = ((result >> 32) as usize, (result & 0xffff_ffff) as usize);
        let bytes = self.memory.data(&self.store).get(address..address + length);
        Ok(String::from_utf8(
            bytes.ok_or("the output is not in memory")?.to_vec(),
        )?)
    }

    /// Calls `malloc`.
    ///
    /// # Errors
    ///
    /// When it traps.
    pub fn malloc(&mut self, size: u32) -> Result<u32, Failure> {
        Ok(self.malloc.call(&mut self.store, size)?)
    }

    /// Calls `free`.
    ///
    /// # Errors
    ///
    /// When it traps.
    pub fn free(&mut self, address: u32) -> Result<(), Failure> {
        Ok(self.free.call(&mut self.store, address)?)
    }

    /// Bytes of memory that the instance has.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        self.memory.data_size(&self.store)
    }
}

/// What both modules import: of WASI as much as they call, and the clock of JavaScript.
fn linker(engine: &Engine) -> Result<Linker<StoreLimits>, Failure> {
    const WASI: &str = "wasi_snapshot_preview1";
    let nanoseconds = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
    };
    let mut linker = Linker::new(engine);
    linker.func_wrap("gojs", "runtime.ticks", move || nanoseconds() as i64)?;
    linker.func_wrap(
        WASI,
        "clock_time_get",
        move |mut caller: Caller<'_, StoreLimits>, _: i32, _: i64, to: i32| {
            write(&mut caller, to, &nanoseconds().to_le_bytes())
        },
    )?;
    linker.func_wrap(
        WASI,
        "random_get",
        |mut caller: Caller<'_, StoreLimits>, to: i32, length: i32| {
            write(&mut caller, to, &vec![7; length as usize])
        },
    )?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |mut caller: Caller<'_, StoreLimits>, _: i32, _: i32, _: i32, to: i32| {
            write(&mut caller, to, &[0; 4])
        },
    )?;
    linker.func_wrap(WASI, "fd_read", |_: i32, _: i32, _: i32, _: i32| 8)?;
    for name in ["environ_sizes_get", "args_sizes_get"] {
        linker.func_wrap(
            WASI,
            name,
            |mut caller: Caller<'_, StoreLimits>, count: i32, size: i32| {
                write(&mut caller, count, &[0; 4])?;
                write(&mut caller, size, &[0; 4])
            },
        )?;
    }
    for name in ["environ_get", "args_get"] {
        linker.func_wrap(WASI, name, |_: i32, _: i32| 0)?;
    }
    linker.func_wrap(WASI, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        match code {
            0 => Ok(()),
            code => Err(wasmtime::Error::msg(format!(
                "the module exited with {code}"
            ))),
        }
    })?;
    Ok(linker)
}

fn write(caller: &mut Caller<'_, StoreLimits>, to: i32, bytes: &[u8]) -> wasmtime::Result<i32> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Ok(8);
    };
    memory.write(caller, to as u32 as usize, bytes)?;
    Ok(0)
}

/// Memory without a limit of the host.
pub const UNLIMITED: usize = usize::MAX;

/// The stack that hosts have if they do not choose one.
pub const STACK: usize = 512 << 10;
