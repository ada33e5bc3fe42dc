// SPDX-License-Identifier: MIT OR Apache-2.0

//! Plots as SVG: bars for the systems of a network, relative to the best peer or to the
//! bare file system.

use std::fmt::Write;

use super::{number, Results};
use crate::measure::Unit;
use crate::network::NETWORKS;
use crate::plan::{LOWER, REMOTE};
use crate::workload;

/// One picture.
pub struct Plot {
    /// File name.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// The picture.
    pub svg: String,
}

/// Colours that are told apart by everybody (after Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#56b4e9", "#009e73", "#8fd0b8", "#d55e00", "#e69f00", "#cc79a7", "#999999",
];

const LABELS: f64 = 170.0;
const WIDTH: f64 = 520.0;
const BAR: f64 = 9.0;

/// A group of bars: a label, and the value of each series that has one.
struct Group {
    label: String,
    values: Vec<Option<f64>>,
}

/// All plots of a run.
pub fn all(results: &Results) -> Vec<Plot> {
    let mut plots = Vec::new();
    for lower in LOWER {
        let series = ["overlayfs", "hmdfs_device", "hmdfs_merge"];
        let groups = workload::LOCAL
            .iter()
            .map(|row| {
                let figure = |system: &str| {
                    results
                        .get(
                            &format!("{system}:{lower}"),
                            "local",
                            row.name,
                            row.unit.name(),
                        )
                        .map(|figure| figure.0)
                };
                relative(row.name, &series, figure, figure("native"), row.unit)
            })
            .collect();
        let title = format!("Speed relative to {lower} itself (1 = as fast)");
        plots.extend(bars(&format!("local-{lower}.svg"), &title, &series, groups));
    }
    for network in NETWORKS.iter().filter(|shape| shape.name != "local") {
        let groups = workload::REMOTE
            .iter()
            .map(|row| {
                let figure = |system: &str| {
                    results
                        .get(system, network.name, row.name, row.unit.name())
                        .map(|figure| figure.0)
                };
                let best = results.best_peer(network.name, row).map(|(_, best)| best);
                relative(row.name, &REMOTE, figure, best, row.unit)
            })
            .collect();
        let title = format!("Network {}: speed relative to the best peer", network.name);
        let file = format!("{}.svg", network.name);
        plots.extend(bars(&file, &title, &REMOTE, groups));
    }
    plots
}

fn relative(
    label: &str,
    series: &[&str],
    figure: impl Fn(&str) -> Option<f64>,
    base: Option<f64>,
    unit: Unit,
) -> Group {
    let values = series
        .iter()
        .map(|system| {
            let (ours, base) = (figure(system)?, base?);
            Some(if Unit::greater_is_better(unit.name()) {
                ours / base
            } else {
                base / ours
            })
        })
        .collect();
    Group {
        label: label.to_owned(),
        values,
    }
}

/// Horizontal bars; `None` when there is nothing to show.
fn bars(file: &str, title: &str, series: &[&str], mut groups: Vec<Group>) -> Option<Plot> {
    groups.retain(|group| group.values.iter().any(Option::is_some));
    let greatest = groups
        .iter()
        .flat_map(|group| group.values.iter().flatten().copied())
        .fold(1.0, f64::max);
    if groups.is_empty() {
        return None;
    }
    // One that is far ahead must not make the others too small to see.
    let scale = greatest.min(4.0) * 1.05;
    let at = |value: f64| LABELS + (value / scale).min(1.0) * WIDTH;
    let shown: Vec<usize> = (0..series.len())
        .filter(|index| groups.iter().any(|group| group.values[*index].is_some()))
        .collect();
    let step = BAR * shown.len() as f64 + 8.0;
    let top = 58.0;
    let height = top + step * groups.len() as f64 + 10.0;
    let width = LABELS + WIDTH + 60.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"18\" font-size=\"14\">{title}</text>\n"
    );
    let mut x = 10.0;
    for index in &shown {
        let (colour, name) = (COLOURS[index % COLOURS.len()], series[*index]);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"37\">{name}</text>",
            x + 14.0
        );
        x += 26.0 + 7.0 * name.len() as f64;
    }
    let one = at(1.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{one:.1}\" y1=\"{}\" x2=\"{one:.1}\" y2=\"{}\" stroke=\"#444\" stroke-dasharray=\"3 3\"/>",
        top - 6.0,
        height - 8.0
    );
    for (row, group) in groups.iter().enumerate() {
        let y = top + step * row as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 8.0,
            y + step / 2.0,
            group.label
        );
        for (place, index) in shown.iter().enumerate() {
            let Some(value) = group.values[*index] else {
                continue;
            };
            let y = y + BAR * place as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{LABELS}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"8\">{}</text>",
                at(value) - LABELS,
                BAR - 1.0,
                COLOURS[index % COLOURS.len()],
                at(value) + 3.0,
                y + BAR - 2.0,
                number((value * 100.0).round() / 100.0)
            );
        }
    }
    svg.push_str("</svg>\n");
    Some(Plot {
        file: file.to_owned(),
        title: title.to_owned(),
        svg,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_without_values_is_none() {
        let groups = vec![Group {
            label: "x".to_owned(),
            values: vec![None],
        }];
        assert!(bars("x.svg", "x", &["a"], groups).is_none());
    }

    #[test]
    fn bars_end_at_the_edge() {
        let groups = vec![Group {
            label: "x".to_owned(),
            values: vec![Some(1_000.0), Some(0.5)],
        }];
        let plot = bars("x.svg", "x", &["a", "b"], groups).expect("a plot");
        assert!(plot.svg.contains(&format!("width=\"{WIDTH:.1}\"")));
        assert!(plot.svg.contains(">1000<"));
    }
}
