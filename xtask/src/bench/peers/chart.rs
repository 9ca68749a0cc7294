//! The chart: plain bars on a logarithmic axis, in colors that are readable on light and on dark ground.

use std::fmt::Write as _;

/// Width of the drawing, where bars begin, and where the longest may end.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 790.0;

const ROW: f64 = 24.0;
const TOP: f64 = 44.0;

const TEXT: &str = "#7d8590";
const OURS: &str = "#2f81f7";
const OTHERS: &str = "#8b949e";

/// A bar, whose value is above 0.
#[derive(Debug)]
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) value: f64,
    pub(super) is_ours: bool,
}

/// An SVG document with a bar for each value.
pub(super) fn draw(title: &str, bars: &[Bar<'_>]) -> String {
    let axis = Axis::over(bars.iter().map(|bar| bar.value));
    let bottom = TOP + ROW * bars.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"{TEXT}\" role=\"img\">\n<title>{title}</title>\n\
         <text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{title}</text>\n",
        height = bottom + 24.0,
        title = escape(title),
    );
    for power in axis.first..=axis.last {
        let x = axis.position(10_f64.powi(power));
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y1}\" y2=\"{bottom}\" stroke=\"{TEXT}\" stroke-opacity=\"0.35\"/>\
             <text x=\"{x:.1}\" y=\"{label}\" text-anchor=\"middle\">{value}</text>",
            y1 = TOP - 8.0,
            label = bottom + 16.0,
            value = 10_f64.powi(power),
        );
    }
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let end = axis.position(bar.value);
        let _ = writeln!(
            svg,
            "<text x=\"{name_end}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{color}\"/>\
             <text x=\"{value_start:.1}\" y=\"{base}\">{value}</text>",
            name_end = LEFT - 8.0,
            base = y + 13.0,
            name = escape(bar.name),
            width = end - LEFT,
            height = ROW - 7.0,
            color = if bar.is_ours { OURS } else { OTHERS },
            value_start = end + 6.0,
            value = short(bar.value),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// From one power of ten to another.
#[derive(Debug, PartialEq)]
struct Axis {
    first: i32,
    last: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let lowest = values.clone().fold(1.0, f64::min);
        let highest = values.fold(1.0, f64::max);
        let first = lowest.log10().floor() as i32;
        // A bar of the lowest value is to be seen.
        let first = if lowest <= 10_f64.powi(first) {
            first - 1
        } else {
            first
        };
        Self {
            first,
            last: (highest.log10().ceil() as i32).max(first + 1),
        }
    }

    fn position(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        LEFT + (RIGHT - LEFT) * share
    }
}

/// Two digits at least.
pub(super) fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_logarithm_of_their_value() {
        let axis = Axis::over([0.05, 1.0, 80.0].into_iter());
        assert_eq!(axis, Axis { first: -2, last: 2 });
        assert_eq!(axis.position(0.01), LEFT);
        assert_eq!(axis.position(1.0), f64::midpoint(LEFT, RIGHT));
        assert_eq!(axis.position(100.0), RIGHT);
        assert_eq!(Axis::over([0.1].into_iter()).first, -2);
        assert_eq!(Axis::over([1.0].into_iter()), Axis { first: -1, last: 0 });
    }

    #[test]
    fn a_chart_has_a_bar_a_name_and_a_value_for_each() {
        let bars = [
            Bar {
                name: "ours & fast",
                value: 0.2,
                is_ours: true,
            },
            Bar {
                name: "a < b",
                value: 123.4,
                is_ours: false,
            },
        ];
        let svg = draw("times", &bars);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches(OURS).count(), 1);
        for part in [
            "ours &amp; fast",
            "a &lt; b",
            ">0.20<",
            ">123<",
            ">1000<",
            "</svg>",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
