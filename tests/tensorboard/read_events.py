#!/usr/bin/python3
"""Reads an event file as TensorBoard does, with nothing of this project's: Google's Python protobuf, crcmod's CRC-32C, and the
fields of TensorBoard's event.proto, summary.proto, tensor.proto and tensor_shape.proto that its scalars, histograms and text
plugins read. One JSON object a value on standard output; whatever TensorBoard would leave out or misread ends the program.

    read_events.py FILE          (Debian: python3-protobuf python3-crcmod)
"""
import json
import math
import os
import re
import struct
import sys

import crcmod.predefined
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# message: field name, number, type (a message's by its name)
SCHEMA = {
    "Event": [("wall_time", 1, "double"), ("step", 2, "int64"), ("file_version", 3, "string"), ("summary", 5, "Summary")],
    "Summary": [("value", 1, "*Value")],
    "Value": [("tag", 1, "string"), ("simple_value", 2, "float"), ("tensor", 8, "Tensor"), ("metadata", 9, "Metadata")],
    "Metadata": [("plugin_data", 1, "Plugin"), ("display_name", 2, "string"), ("data_class", 4, "int32")],
    "Plugin": [("plugin_name", 1, "string"), ("content", 2, "bytes")],
    "Tensor": [("dtype", 1, "int32"), ("tensor_shape", 2, "Shape"), ("tensor_content", 4, "bytes"), ("string_val", 8, "*bytes")],
    "Shape": [("dim", 2, "*Dim"), ("unknown_rank", 3, "bool")],
    "Dim": [("size", 1, "int64"), ("name", 2, "string")],
}
ONE_OF = {"Event": ("file_version", "summary"), "Value": ("simple_value", "tensor")}
DT_DOUBLE, DT_STRING = 2, 7
DATA_CLASS_TENSOR = 2


def event_class():
    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="tb", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        if name in ONE_OF:
            message.oneof_decl.add(name="one")
        for field, number, kind in fields:
            label = kinds.LABEL_REPEATED if kind[0] == "*" else kinds.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            added = message.field.add(name=field, number=number, label=label)
            if kind in SCHEMA:
                added.type, added.type_name = kinds.TYPE_MESSAGE, ".tb." + kind
            else:
                added.type = getattr(kinds, "TYPE_" + kind.upper())
            if field in ONE_OF.get(name, ()):
                added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("tb.Event"))


def refuse(text):
    sys.exit("read_events.py: " + text)


def records(path):
    crc = crcmod.predefined.mkPredefinedCrcFun("crc-32c")

    def check(data, expected, what):
        value = crc(data)
        masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
        if masked != expected:
            refuse(f"the checksum of record {number}'s {what} is wrong")

    with open(path, "rb") as file:
        content = file.read()
    number, at = 0, 0
    while at < len(content):
        if at + 12 > len(content):
            refuse(f"record {number} is cut off")
        check(content[at:at + 8], struct.unpack_from("<I", content, at + 8)[0], "length")
        end = at + 12 + struct.unpack_from("<Q", content, at)[0]
        if end + 4 > len(content):
            refuse(f"record {number} is cut off")
        check(content[at + 12:end], struct.unpack_from("<I", content, end)[0], "data")
        yield content[at + 12:end]
        number, at = number + 1, end + 4


def array(tag, tensor, dtype):
    """The shape of a tensor of the type expected."""
    if tensor.dtype != dtype:
        refuse(f"{tag} has dtype {tensor.dtype}, not {dtype}")
    return [dim.size for dim in tensor.tensor_shape.dim]


def histogram(tag, tensor):
    shape = array(tag, tensor, DT_DOUBLE)
    if len(shape) != 2 or shape[1] != 3 or 24 * shape[0] != len(tensor.tensor_content):
        refuse(f"{tag} has shape {shape} and {len(tensor.tensor_content)} bytes; the plugin wants [buckets, 3] float64")
    rows = list(struct.iter_unpack("<3d", tensor.tensor_content))
    for (_, right, _), (left, _, _) in zip(rows, rows[1:]):
        if left != right:
            refuse(f"{tag}: a bucket begins at {left} where the one before it ends at {right}")
    if any(left >= right or count < 0 for left, right, count in rows):
        refuse(f"{tag}: a bucket is empty of width, or counts below zero")
    return {"edges": [left for left, _, _ in rows] + [rows[-1][1]], "counts": [count for _, _, count in rows]}


def text(tag, tensor):
    shape = array(tag, tensor, DT_STRING)
    if shape or len(tensor.string_val) != 1:
        refuse(f"{tag} has shape {shape} and {len(tensor.string_val)} texts: it would be shown as a table")
    return {"text": tensor.string_val[0].decode()}


def number(value):
    return {"value": value if math.isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}


def reading(value, metadata):
    """Plugin and content of a value, by the metadata that came with the first value of its tag."""
    kind = value.WhichOneof("one")
    if kind == "simple_value":
        return "scalars", number(value.simple_value)
    plugin = metadata.plugin_data.plugin_name
    if metadata.data_class != DATA_CLASS_TENSOR:
        refuse(f"{value.tag} has data class {metadata.data_class}: no plugin is given it")
    if kind == "tensor" and plugin == "histograms":
        return plugin, histogram(value.tag, value.tensor)
    if kind == "tensor" and plugin == "text":
        return plugin, text(value.tag, value.tensor)
    refuse(f"{value.tag} holds {kind} for the plugin '{plugin}'")


def main(path):
    if "tfevents" not in os.path.basename(path):
        refuse("TensorBoard opens only files with 'tfevents' in their names")
    event_type, first, last = event_class(), {}, 0
    for i, data in enumerate(records(path)):
        event = event_type.FromString(data)
        if event.SerializeToString(deterministic=True) != data:
            refuse(f"record {i} holds fields that are unknown, or not in order")
        if i == 0:
            if not re.fullmatch(r"brain\.Event:[2-9]", event.file_version):
                refuse(f"the first record is no version: '{event.file_version}'")
            continue
        if event.WhichOneof("one") != "summary":
            refuse(f"record {i} holds no summary")
        if event.step < last:
            refuse(f"record {i} goes back from step {last} to {event.step}: TensorBoard would drop what lies between")
        last = event.step
        for value in event.summary.value:
            plugin, content = reading(value, first.setdefault(value.tag, value.metadata))
            print(json.dumps({"plugin": plugin, "tag": value.tag, "step": event.step, **content}, ensure_ascii=False))


main(sys.argv[1])
