//! Dashboards: rows of panels, and the JSON that Grafana provisions.

use serde::Deserialize;
use serde_json::{Value, json};

/// `deploy/dashboards.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboards {
    /// The dashboards.
    pub dashboards: Vec<Dashboard>,
}

/// One page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Its name in addresses and files.
    pub uid: String,
    /// Its name for people.
    pub title: String,
    /// Its rows, top to bottom.
    pub rows: Vec<Row>,
}

/// Panels side by side under a heading.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The heading.
    pub title: String,
    /// Its panels, left to right: at most four.
    pub panels: Vec<Panel>,
}

/// One graph, or one number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Unit as Grafana names it.
    #[serde(default = "short")]
    pub unit: String,
    /// The latest value as a number instead of a graph.
    #[serde(default)]
    pub stat: bool,
    /// What is drawn.
    pub queries: Vec<Query>,
}

/// One expression and the legend of its series.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// PromQL.
    pub expr: String,
    /// `{{label}}` stands for the label's value.
    pub legend: String,
}

/// Columns and height in the units of Grafana's grid.
const COLUMNS: usize = 24;
const HEIGHT: usize = 8;

fn short() -> String {
    "short".to_owned()
}

fn prometheus() -> Value {
    json!({"type": "prometheus", "uid": "prometheus"})
}

impl Dashboard {
    /// Its expressions, each with the panel that it is of.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = (String, String)> {
        let panels = self.rows.iter().flat_map(|row| &row.panels);
        let of_panel = |panel: &Panel| {
            let place = format!("{} / {}", self.title, panel.title);
            panel.queries.iter().map(|query| (place.clone(), query.expr.clone())).collect::<Vec<_>>()
        };
        panels.flat_map(of_panel).collect::<Vec<_>>().into_iter()
    }

    /// What Grafana reads.
    pub(crate) fn to_grafana(&self) -> Value {
        json!({
            "uid": format!("trireme-{}", self.uid),
            "title": self.title,
            "tags": ["trireme"],
            "schemaVersion": 41,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "annotations": {"list": [{
                "name": "Alerts", "enable": true, "iconColor": "red", "datasource": prometheus(),
                "expr": "ALERTS{alertstate=\"firing\"}",
            }]},
            "links": [{
                "type": "dashboards", "title": "Trireme", "tags": ["trireme"], "asDropdown": true, "keepTime": true,
                "icon": "external link", "includeVars": false, "targetBlank": false, "tooltip": "", "url": "",
            }],
            "panels": self.panels(),
        })
    }

    fn panels(&self) -> Vec<Value> {
        let (mut panels, mut top) = (Vec::new(), 0);
        for row in &self.rows {
            let id = panels.len() + 1;
            panels.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }));
            let width = COLUMNS / row.panels.len().max(1);
            for (index, panel) in row.panels.iter().enumerate() {
                let place = json!({"x": index * width, "y": top + 1, "w": width, "h": HEIGHT});
                panels.push(panel.to_grafana(id + 1 + index, &place));
            }
            top += 1 + HEIGHT;
        }
        panels
    }
}

impl Panel {
    fn to_grafana(&self, id: usize, place: &Value) -> Value {
        let target = |(index, query): (usize, &Query)| {
            // Exemplars are dots on the graph, each a way to the trace of one request.
            let exemplar = query.expr.contains("traces_span_metrics_duration");
            json!({
                "refId": format!("Q{index}"), "datasource": prometheus(), "expr": query.expr,
                "legendFormat": query.legend, "range": true, "exemplar": exemplar,
            })
        };
        let targets: Vec<_> = self.queries.iter().enumerate().map(target).collect();
        let legend = json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []});
        let options = if self.stat {
            json!({"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false}})
        } else {
            json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}})
        };
        json!({
            "id": id,
            "type": if self.stat { "stat" } else { "timeseries" },
            "title": self.title,
            "datasource": prometheus(),
            "gridPos": place,
            "targets": targets,
            "fieldConfig": {"defaults": {"unit": self.unit, "links": self.links()}, "overrides": []},
            "options": options,
        })
    }

    /// From a series of a service to its traces of that time.
    fn links(&self) -> Vec<Value> {
        let by_job = self.queries.iter().any(|query| query.legend.contains("{{job}}"));
        let link = || json!({"title": "Traces of ${__field.labels.job}", "url": EXPLORE, "targetBlank": true});
        by_job.then(link).into_iter().collect()
    }
}

/// Grafana's page for looking around, with the traces of a service; what stands in braces it puts in.
const EXPLORE: &str = concat!(
    "/explore?schemaVersion=1&orgId=1&panes=",
    "%7B%22t%22:%7B%22datasource%22:%22jaeger%22,%22queries%22:%5B%7B%22refId%22:%22A%22,%22queryType%22:%22search%22,",
    "%22service%22:%22${__field.labels.job}%22%7D%5D,%22range%22:%7B%22from%22:%22${__from}%22,%22to%22:%22${__to}%22%7D%7D%7D"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard() -> Dashboard {
        let query = |legend: &str| Query { expr: "up".to_owned(), legend: legend.to_owned() };
        let panel = |legend, stat| Panel { title: "P".to_owned(), unit: short(), stat, queries: vec![query(legend)] };
        let row = |panels| Row { title: "R".to_owned(), panels };
        let rows = vec![row(vec![panel("{{job}}", false), panel("", true)]), row(vec![panel("", false)])];
        Dashboard { uid: "one".to_owned(), title: "One".to_owned(), rows }
    }

    #[test]
    fn panels_fill_their_row_and_lie_on_nothing() {
        let made = dashboard().to_grafana();
        let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let places: Vec<_> = made["panels"].as_array().unwrap().iter().map(place).collect();
        assert_eq!(places, [[0, 0, 24, 1], [0, 1, 12, 8], [12, 1, 12, 8], [0, 9, 24, 1], [0, 10, 24, 8]]);
        let ids: Vec<_> =
            made["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_series_of_a_service_leads_to_its_traces() {
        let made = dashboard().to_grafana();
        let links = |panel: usize| made["panels"][panel]["fieldConfig"]["defaults"]["links"].as_array().unwrap().len();
        assert_eq!((links(1), links(2)), (1, 0));
    }
}
