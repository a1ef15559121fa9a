// Registers and logs in over gRPC-Web with `@connectrpc/connect-web`; the order is placed with that token.
import { readFileSync } from "node:fs";

import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { call, deadline, from, newcomer, order, place } from "./shop.mjs";

deadline();
// What `buf build` makes of proto/.
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(from("DESCRIPTORS"))));
const transport = createGrpcWebTransport({ baseUrl: from("USER_GRPC") });
const users = createClient(registry.getService("user.v1.UserService"), transport);

const somebody = newcomer();
const { user } = await users.createUser({ ...somebody, name: "Ada" });
const { accessToken: token } = await users.authenticate(somebody);
const seen = await users.getUser({ id: user.id }, { headers: { authorization: `Bearer ${token}` } });
if (seen.user.email !== somebody.email) throw new Error(JSON.stringify(seen));

const placed = await place(token);
const { status } = await call(`${order}/v1/orders/${placed}`, { token });
if (status !== "confirmed") throw new Error(status);
console.log(`connect-web: order ${placed} is confirmed`);

// The reason of a refusal comes with it.
const refused = await users.authenticate({ ...somebody, password: "wrong horse" }).catch(ConnectError.from);
const info = refused.details?.find((detail) => detail.type === "google.rpc.ErrorInfo");
if (refused.code !== Code.Unauthenticated || !Buffer.from(info.value).includes("WRONG_CREDENTIALS")) throw refused;
