// Run once by the image of MongoDB, on an empty volume: order's user, who gets into its own database only.
const password = require("fs").readFileSync("/run/secrets/order", "utf8").trim();
db.getSiblingDB("order").createUser({ user: "order", pwd: password, roles: ["readWrite"] });
