//! What the programs print, and the medians of it.

use std::fmt;

use crate::program::Failure;

/// Where a subject evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the process; figures are nanoseconds.
    Local,
    /// On a server; figures are nanoseconds of the client's CPU time.
    Remote,
}

#[derive(Clone, Debug, PartialEq)]
struct Figure {
    place: Place,
    subject: String,
    question: String,
    value: f64,
}

/// The figures of all rounds.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) rounds: usize,
    figures: Vec<Figure>,
}

impl Figures {
    pub(super) fn new(rounds: usize) -> Self {
        Self {
            rounds,
            figures: Vec::new(),
        }
    }

    /// Of what [`Display`](fmt::Display) wrote.
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        let (rounds, lines) = text.split_once('\n').ok_or("there are no rounds")?;
        let mut figures = Self::new(rounds.parse()?);
        figures.add(lines)?;
        Ok(figures)
    }

    /// Adds the output of one run of a program.
    pub(super) fn add(&mut self, output: &str) -> Result<(), Failure> {
        for line in output.lines() {
            let figure = figure(line).ok_or_else(|| format!("`{line}` is no figure"))?;
            self.figures.push(figure);
        }
        Ok(())
    }

    /// In the order of the first round.
    pub(super) fn subjects(&self, place: Place) -> Vec<&str> {
        self.first_seen(place, |figure| &figure.subject)
    }

    /// In the order of the first round.
    pub(super) fn questions(&self, place: Place) -> Vec<&str> {
        self.first_seen(place, |figure| &figure.question)
    }

    fn first_seen<'a>(&'a self, place: Place, of: impl Fn(&'a Figure) -> &'a str) -> Vec<&'a str> {
        let mut seen = Vec::new();
        for name in self
            .figures
            .iter()
            .filter(|figure| figure.place == place)
            .map(of)
        {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        seen
    }

    /// Over the rounds; `None` where the subject has no answer.
    pub(super) fn median(&self, place: Place, subject: &str, question: &str) -> Option<f64> {
        let figures = self.figures.iter().filter(|figure| {
            figure.place == place && figure.subject == subject && figure.question == question
        });
        median(figures.map(|figure| figure.value).collect())
    }

    /// The median divided by that of row 1.
    pub(super) fn ratio(&self, place: Place, subject: &str, question: &str) -> Option<f64> {
        let first = self.subjects(place).first().copied()?;
        let baseline = self.median(place, first, question)?;
        Some(self.median(place, subject, question)? / baseline)
    }

    /// The geometric mean of the ratios of all questions, for the chart.
    pub(super) fn mean_ratio(&self, place: Place, subject: &str) -> Option<f64> {
        let questions = self.questions(place).into_iter();
        let ratios: Option<Vec<f64>> = questions
            .map(|question| self.ratio(place, subject, question))
            .collect();
        geometric_mean(&ratios?)
    }
}

/// A line for each figure, as the programs print it.
impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.rounds)?;
        for Figure {
            place,
            subject,
            question,
            value,
        } in &self.figures
        {
            let place = match place {
                Place::Local => "local",
                Place::Remote => "remote",
            };
            writeln!(formatter, "{place}\t{subject}\t{question}\t{value}")?;
        }
        Ok(())
    }
}

fn figure(line: &str) -> Option<Figure> {
    let mut fields = line.split('\t');
    let place = match fields.next()? {
        "local" => Place::Local,
        "remote" => Place::Remote,
        _ => return None,
    };
    let (subject, question) = (fields.next()?.to_owned(), fields.next()?.to_owned());
    let value: f64 = fields.next()?.parse().ok()?;
    let is_complete = fields.next().is_none() && value.is_finite() && value > 0.0;
    is_complete.then_some(Figure {
        place,
        subject,
        question,
        value,
    })
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_or_between_the_two_in_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![8.0, 1.0, 4.0, 2.0], Some(3.0)),
        ] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_of_the_medians_and_to_the_first_subject() {
        let mut figures = Figures::new(3);
        for (first, second) in [(10.0, 5.0), (30.0, 1.0), (20.0, 90.0)] {
            let lines = format!(
                "local\tfirst\ta\t{first}\nlocal\tfirst\tb\t{first}\nlocal\tsecond\ta\t{second}\nlocal\tsecond\tb\t80"
            );
            figures.add(&lines).unwrap();
        }
        assert_eq!(figures.subjects(Place::Local), ["first", "second"]);
        assert_eq!(figures.questions(Place::Local), ["a", "b"]);
        assert_eq!(figures.median(Place::Local, "second", "a"), Some(5.0));
        assert_eq!(figures.ratio(Place::Local, "second", "a"), Some(0.25));
        assert_eq!(figures.ratio(Place::Local, "second", "b"), Some(4.0));
        let mean = figures.mean_ratio(Place::Local, "second").unwrap();
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        assert_eq!(figures.ratio(Place::Remote, "second", "a"), None);
        assert_eq!(figures.mean_ratio(Place::Local, "absent"), None);
        let again = Figures::read(&figures.to_string()).unwrap();
        assert_eq!((again.rounds, again.figures), (3, figures.figures));
    }

    #[test]
    fn a_line_that_is_no_figure_is_refused() {
        for line in [
            "",
            "local\ta\tb",
            "local\ta\tb\tc",
            "else\ta\tb\t1",
            "local\ta\tb\tNaN",
            "local\ta\tb\t0",
            "local\ta\tb\t1\t2",
        ] {
            assert_eq!(figure(line), None, "{line}");
        }
    }
}
