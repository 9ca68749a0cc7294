//! The code of README.md and of the guide, as documentation tests.

macro_rules! pages {
    ($($name:ident = $page:literal,)+) => {
        $(#[doc = include_str!($page)] pub mod $name {})+
    };
}

pages! {
    readme = "../README.md",
    client = "guide/client.md",
    contexts = "guide/contexts.md",
    from_ofrep = "guide/from-ofrep.md",
    modes = "guide/modes.md",
    logs = "operating/logs.md",
    networks = "operating/networks.md",
    options = "guide/options.md",
    outages = "guide/outages.md",
    programs = "guide/programs.md",
    results = "guide/results.md",
    snapshots = "guide/snapshots.md",
    telemetry = "operating/telemetry.md",
    testing = "guide/testing.md",
}
