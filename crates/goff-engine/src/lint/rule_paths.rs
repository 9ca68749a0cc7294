//! Where the rules of a flag and of its steps are.

use crate::{
    configuration::definition::{FlagDefinition, RuleDefinition},
    validation::Step,
};

/// The rules of a flag or step with the paths to them.
pub(super) fn rules<'f, 't>(
    flag: &'f FlagDefinition<'t>,
    path: &[Step],
) -> Vec<(Vec<Step>, &'f RuleDefinition<'t>)> {
    let targeting = flag.targeting.iter().flatten().enumerate();
    let targeting = targeting.map(|(index, rule)| {
        let here = [Step::Member("targeting"), Step::Index(index)];
        ([path, &here].concat(), rule)
    });
    let default = flag.default_rule.iter();
    let default = default.map(|rule| ([path, &[Step::Member("defaultRule")]].concat(), rule));
    targeting.chain(default).collect()
}

/// The path to a scheduled step.
pub(super) fn step_path(index: usize) -> [Step; 2] {
    [Step::Member("scheduledRollout"), Step::Index(index)]
}
