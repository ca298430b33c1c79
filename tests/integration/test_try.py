import time
from flows.baseline import baseline
from tests.integration.toys import draw_pictures, toy_config
def test_it(workspace, tmp_path):
    t=time.time()
    c=toy_config(draw_pictures(tmp_path/"pics"))
    r=baseline(c); print("flow",time.time()-t)
    t=time.time(); r=baseline(c); print("flow",time.time()-t)
    print(r.summary())
