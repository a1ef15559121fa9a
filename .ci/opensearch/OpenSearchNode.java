import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One node of OpenSearch on 127.0.0.1, without the distribution around it: java OpenSearchNode FOLDER PORT.
 *
 * <p>Of its modules it has HTTP and the analysers, which Elasticsearch has as well.
 */
public final class OpenSearchNode extends Node {
  private static final List<Class<? extends Plugin>> MODULES =
      List.of(Netty4Plugin.class, CommonAnalysisPlugin.class);

  private OpenSearchNode(Settings settings) {
    super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "node"), MODULES, false);
  }

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]).toAbsolutePath();
    Files.createDirectories(folder.resolve("config"));
    Settings settings =
        Settings.builder()
            .put("path.home", folder.toString())
            .put("cluster.name", "trireme")
            .put("node.name", "node")
            .put("node.processors", 2)
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            // For other nodes, of which there are none: any free port.
            .put("transport.port", "0")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            .put("discovery.type", "single-node")
            // Tests and developers have small disks.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
    Node node = new OpenSearchNode(settings);
    node.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
    new CountDownLatch(1).await();
  }

  private static void close(Node node) {
    try {
      node.close();
    } catch (Exception failure) {
      failure.printStackTrace();
    }
  }
}
