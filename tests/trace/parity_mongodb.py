#!/usr/bin/env python3
"""Commands for parity.py, so that they are many: parity_mongodb.py URI."""
import sys

from pymongo import MongoClient

with MongoClient(sys.argv[1]) as client:
    items = client.parity.items
    for i in range(250):
        items.insert_one({"_id": i, "text": "x" * (i * 37 % 5000)})
        items.find_one({"_id": i})
        items.update_one({"_id": i}, {"$set": {"n": i}})
    items.insert_many([{"_id": 1000 + i, "text": "y" * 2000} for i in range(2000)])
    assert len(list(items.find({"_id": {"$gte": 1000}}, batch_size=10))) == 2000
    for i in range(100):
        items.delete_one({"_id": i})
