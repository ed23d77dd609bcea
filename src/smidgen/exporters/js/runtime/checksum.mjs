// The checksum at the end of a file.

import { fail } from "./stream.mjs";

function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

export function checkedBody(file) {
  const width = file.length < 4096 ? 2 : 4;
  const body = file.subarray(0, file.length - width);
  let sum = 0;
  for (const byte of file.subarray(file.length - width)) sum = sum * 256 + byte;
  if (file.length < 4 || sum !== (width === 2 ? crc16(body) : crc32(body))) fail("wrong checksum");
  return body;
}
