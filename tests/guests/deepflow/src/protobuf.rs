//! Records as protobuf messages, through prost.

use prost::Message as _;

use crate::record::Message;

#[derive(Clone, PartialEq, prost::Message)]
pub struct AppInfo {
    #[prost(uint32, optional, tag = "1")]
    pub req_len: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    pub resp_len: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub request_id: Option<u32>,
    #[prost(oneof = "Info", tags = "10, 11")]
    pub info: Option<Info>,
    #[prost(message, optional, tag = "12")]
    pub trace: Option<AppTrace>,
    #[prost(string, optional, tag = "13")]
    pub protocol_str: Option<String>,
    #[prost(bool, optional, tag = "21")]
    pub is_end: Option<bool>,
    #[prost(bool, optional, tag = "22")]
    pub is_async: Option<bool>,
    #[prost(bool, optional, tag = "23")]
    pub is_reversed: Option<bool>,
    #[prost(message, repeated, tag = "31")]
    pub attributes: Vec<KeyVal>,
    #[prost(uint32, optional, tag = "32")]
    pub biz_type: Option<u32>,
    #[prost(string, optional, tag = "33")]
    pub biz_code: Option<String>,
    #[prost(string, optional, tag = "35")]
    pub biz_response_code: Option<String>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Info {
    #[prost(message, tag = "10")]
    Req(AppRequest),
    #[prost(message, tag = "11")]
    Resp(AppResponse),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AppRequest {
    #[prost(string, optional, tag = "1")]
    pub version: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub r#type: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub domain: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub resource: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub endpoint: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AppResponse {
    #[prost(int32, optional, tag = "1")]
    pub status: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub code: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub exception: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub result: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub r#type: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub endpoint: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AppTrace {
    #[prost(string, optional, tag = "1")]
    pub trace_id: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub span_id: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub parent_span_id: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub x_request_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub http_proxy_client: Option<String>,
    #[prost(string, repeated, tag = "6")]
    pub trace_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyVal {
    #[prost(string, optional, tag = "1")]
    pub key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub val: Option<String>,
}

/// "PB" and the message. Strings are always there, if empty, as DeepFlow's SDK has them.
pub fn encode(message: &Message) -> Vec<u8> {
    let text = |text: &str| Some(text.to_owned());
    let info = if message.is_response {
        Info::Resp(AppResponse {
            status: Some(message.status.into()),
            code: message.code,
            exception: text(&message.exception),
            result: text(&message.result),
            r#type: text(&message.type_name),
            endpoint: text(&message.endpoint),
        })
    } else {
        Info::Req(AppRequest {
            version: text(&message.version),
            r#type: text(&message.type_name),
            domain: text(&message.domain),
            resource: text(&message.resource),
            endpoint: text(&message.endpoint),
        })
    };
    let trace = AppTrace { trace_id: text(&message.trace_id), span_id: text(&message.span_id), ..AppTrace::default() };
    let attribute = |(key, val): &(String, String)| KeyVal { key: text(key), val: text(val) };
    let app = AppInfo {
        req_len: message.request_len,
        resp_len: message.response_len,
        request_id: message.id,
        info: Some(info),
        trace: Some(trace),
        protocol_str: text(&message.protocol),
        attributes: message.attributes.iter().map(attribute).collect(),
        biz_type: Some(message.business.into()),
        ..AppInfo::default()
    };
    [b"PB", app.encode_to_vec().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::{AppInfo, AppRequest, AppResponse, AppTrace, Info, KeyVal};
    use crate::golden::golden;
    use prost::Message as _;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn protobuf_records_are_as_the_goldens_have_them() {
        let request = AppInfo {
            req_len: Some(32),
            request_id: Some(7),
            info: Some(Info::Req(AppRequest {
                version: text("1.1"),
                r#type: text("GET"),
                domain: text("shop"),
                resource: text("item/1"),
                endpoint: text("/item"),
            })),
            trace: Some(AppTrace {
                trace_id: text("t1"),
                span_id: text("s1"),
                parent_span_id: text("p1"),
                x_request_id: text("x1"),
                http_proxy_client: text("1.2.3.4"),
                trace_ids: vec!["t2".to_owned()],
            }),
            protocol_str: text("toy"),
            attributes: vec![KeyVal { key: text("k"), val: text("v") }],
            biz_type: Some(5),
            biz_code: text("B1"),
            ..AppInfo::default()
        };
        assert_eq!(request.encode_to_vec(), golden("pb_request")[4..]);
        let response = AppInfo {
            resp_len: Some(64),
            request_id: Some(7),
            info: Some(Info::Resp(AppResponse {
                status: Some(3),
                code: Some(-1),
                exception: text("boom!"),
                result: text("done"),
                r#type: text("GET"),
                endpoint: text("/item"),
            })),
            is_end: Some(true),
            is_async: Some(true),
            is_reversed: Some(false),
            biz_response_code: text("R1"),
            ..AppInfo::default()
        };
        assert_eq!(response.encode_to_vec(), golden("pb_response")[4..]);
    }
}
